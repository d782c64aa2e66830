// Reads the next COUNT messages of a topic, live: subscribe SOCKET TOPIC COUNT

#include <oyez.hpp>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <thread>

int main(int argc, char **argv) try {
    if (argc != 4)
        return std::cerr << "subscribe SOCKET TOPIC COUNT\n", 2;
    oyez::client client({{"socket", argv[1]}});
    auto subscriber = client.subscriber({{argv[2]}});
    std::cout << "subscribed" << std::endl;

    auto left = std::stoull(argv[3]);
    auto take = [&](const oyez_event &event) noexcept {
        if (event.kind == OYEZ_EVENT_MESSAGE) {
            uint64_t number = 0;
            if (event.len_bytes >= 8 + sizeof number)
                std::memcpy(&number, event.bytes + 8, sizeof number);
            std::cout << "message " << event.sequence << ": " << number << '\n';
            --left;
        } else if (event.kind == OYEZ_EVENT_GAP) {
            std::cout << "messages " << event.sequence << " to " << event.to_sequence << " are lost\n";
        }
    };
    while (left > 0)
        if (subscriber.poll(std::min<size_t>(left, 256), take) == 0)
            std::this_thread::yield();
} catch (const std::exception &error) {
    return std::cerr << "subscribe: " << error.what() << '\n', 1;
}
