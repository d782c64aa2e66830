// Goes on where it was, exactly: reads a topic up to its present end, and keeps its place in FILE.
//   catch_up SOCKET TOPIC FILE
// The first run starts with the oldest message there is. Every message is taken once, whatever happens in between, or it
// is said which are not to be had.

#include <oyez.hpp>

#include <fstream>
#include <iostream>
#include <thread>

int main(int argc, char **argv) try {
    if (argc != 4)
        return std::cerr << "catch_up SOCKET TOPIC FILE\n", 2;
    oyez::subscription topic{argv[2], OYEZ_START_EARLIEST};
    if (std::ifstream(argv[3]) >> topic.start_epoch >> topic.start_at)
        topic.start = OYEZ_START_RESUME;
    oyez::client client({{"socket", argv[1]}});
    auto subscriber = client.subscriber({topic});

    uint64_t messages = 0;
    bool caught_up = false;
    auto take = [&](const oyez_event &event) noexcept {
        switch (event.kind) {
        case OYEZ_EVENT_MESSAGE: ++messages; break;
        case OYEZ_EVENT_GAP:
            std::cout << "messages " << event.sequence << " to " << event.to_sequence << " are lost, cause " << event.cause << '\n';
            break;
        case OYEZ_EVENT_REWOUND: std::cout << "messages from " << event.to_sequence << " on never happened: undo them\n"; break;
        case OYEZ_EVENT_CAUGHT_UP: caught_up = true; break;
        }
    };
    while (subscriber.poll(256, take) > 0 || !caught_up)
        std::this_thread::yield();

    const auto progress = subscriber.progress(0);
    std::ofstream file(argv[3]);
    file << progress.epoch << ' ' << progress.next_sequence << std::endl;
    if (!file)
        throw std::runtime_error(std::string(argv[3]) + ": cannot be written");
    std::cout << "took " << messages << " messages, next is " << progress.next_sequence << '\n';
} catch (const std::exception &error) {
    return std::cerr << "catch_up: " << error.what() << '\n', 1;
}
