// Round trips between two processes, each on a core of its own, both spinning:
//   ping_pong SOCKET THERE BACK ROUNDS pong &      answers on BACK what comes on THERE
//   ping_pong SOCKET THERE BACK ROUNDS ping        tells the median of the round trips

#include <oyez.hpp>

#include <algorithm>
#include <cstring>
#include <iostream>

int main(int argc, char **argv) try {
    if (argc != 6)
        return std::cerr << "ping_pong SOCKET THERE BACK ROUNDS ping|pong\n", 2;
    const bool pings = argv[5] == std::string("ping");
    const auto rounds = std::stoull(argv[4]);
    oyez::client client({{"socket", argv[1]}});
    auto publisher = client.publisher(pings ? argv[2] : argv[3], 0, std::chrono::seconds(60));
    auto subscriber = client.subscriber({{pings ? argv[3] : argv[2], OYEZ_START_EARLIEST}});

    uint64_t messages = 0;
    auto await = [&](uint64_t wanted) {
        auto count = [&](const oyez_event &event) noexcept { messages += event.kind == OYEZ_EVENT_MESSAGE; };
        while (messages < wanted)
            subscriber.poll(1, count);
    };
    uint8_t message[64] = {56, 0, 1, 0, 1, 0, 0, 0};
    auto send = [&](uint64_t number) {
        std::memcpy(message + 8, &number, sizeof number);
        std::optional<oyez_published> published;
        while (!(published = publisher.offer(message, sizeof message))) {
        }
        return published->time_ns;
    };

    // From one publish to the next: no clock is read that the bus does not read by itself.
    std::vector<uint64_t> round_trips_ns(rounds);
    uint64_t last_ns = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
        if (!pings)
            await(round + 1);
        const auto time_ns = send(round);
        round_trips_ns[round] = time_ns - std::exchange(last_ns, time_ns);
        if (pings)
            await(round + 1);
    }
    if (pings && rounds > 1) {
        std::sort(round_trips_ns.begin() + 1, round_trips_ns.end());
        std::cout << "median round trip of " << rounds << ": " << round_trips_ns[1 + (rounds - 1) / 2] << " ns\n";
    }
} catch (const std::exception &error) {
    return std::cerr << "ping_pong: " << error.what() << '\n', 1;
}
