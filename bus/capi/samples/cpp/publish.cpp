// Publishes COUNT messages and waits until the last of them is durable: publish SOCKET TOPIC COUNT

#include <oyez.hpp>

#include <cstring>
#include <iostream>
#include <thread>

// SBE message header, and a number as the body; a generated codec would do this.
static void encode(uint8_t *bytes, uint64_t number) {
    const uint16_t header[4] = {sizeof number, 1, 1, 0};
    std::memcpy(bytes, header, sizeof header);
    std::memcpy(bytes + sizeof header, &number, sizeof number);
}

int main(int argc, char **argv) try {
    if (argc != 4)
        return std::cerr << "publish SOCKET TOPIC COUNT\n", 2;
    oyez::client client({{"socket", argv[1]}});
    auto publisher = client.publisher(argv[2], 0, std::chrono::seconds(60));

    std::optional<oyez_published> published;
    for (uint64_t number = 0, count = std::stoull(argv[3]); number < count; ++number) {
        encode(publisher.claim(16), number);
        while (!(published = publisher.commit()))
            std::this_thread::yield();
    }
    if (published) {
        publisher.wait(published->position, OYEZ_DURABLE, std::chrono::seconds(60));
        std::cout << "published up to message " << published->sequence << ", durable\n";
    }
    publisher.close();
} catch (const std::exception &error) {
    return std::cerr << "publish: " << error.what() << '\n', 1;
}
