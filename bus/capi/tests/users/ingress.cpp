// One of many publishers, and a subscriber that sees who it was: ingress SOCKET, where `many` has the origin b = 7.

#include <oyez.hpp>

#include <cstdlib>
#include <iostream>

static void expect(bool holds, const char *what) {
    if (!holds)
        std::cerr << what << '\n', std::exit(1);
}

int main(int, char **arguments) {
    const oyez::client client(oyez::config{{"socket", arguments[1]}});
    {
        auto ingress = client.ingress("many", "b", 0, std::chrono::nanoseconds::max());
        expect(ingress.accepted().number == 0, "nothing was handed in before");
        uint64_t number = 0;
        while (number < 3)
            number = ingress.offer(std::string_view("a header and a body")).value_or(number);
        const auto accepted = ingress.wait(number, OYEZ_DURABLE, std::chrono::seconds(60));
        expect(accepted.number == 3 && accepted.epoch == 1, "where it is");
        try {
            ingress.wait(number + 1, OYEZ_PUBLISHED, std::chrono::nanoseconds(1000));
            expect(false, "nobody handed that in");
        } catch (const oyez::error &error) {
            expect(error.code() == OYEZ_ERR_TIMEOUT, error.what());
        }
    }
    auto subscriber = client.subscriber({{"many", OYEZ_START_EARLIEST}});
    for (int seen = 0; seen < 3;)
        subscriber.poll(16, [&](const oyez_event &event) {
            if (event.kind == OYEZ_EVENT_MESSAGE)
                std::cout << event.publisher << ' ' << event.number << '\n', ++seen;
        });
    return 0;
}
