// What oyez.hpp does beyond the C functions.

#include <oyez.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>

static void expect(bool holds, const char *what) {
    if (!holds)
        std::cerr << what << '\n', std::exit(1);
}

static size_t heard = 0;

static void hear(const oyez_event &event) noexcept { heard += event.kind == OYEZ_EVENT_MESSAGE; }

int main() {
    oyez::client client(oyez::config{{"in_process", "md,other"}});
    auto publisher = client.publisher("md");
    auto other = client.publisher("other");
    auto subscriber = client.subscriber({{"md", OYEZ_START_EARLIEST}}, OYEZ_PUBLISHED, 8192);

    const std::vector<oyez_part> parts(3, oyez::part("\x08\0\1\0\1\0\0\0", 8));
    expect(publisher.offer(parts.data(), parts.size()).has_value(), "parts of a number that is known when it runs");
    while (subscriber.poll(16, hear) > 0) {
    }
    expect(heard == 1, "a plain function hears");
    const auto also = [](const oyez_event &event) noexcept { hear(event); };
    publisher.offer(parts.data(), 1);
    expect(subscriber.poll(16, also) == 1 && heard == 2, "a constant one hears");

    for (int round = 0; round < 2; ++round) {
        publisher.offer(parts.data(), 2);
        const auto batch = subscriber.next_batch(16);
        expect(batch.size() == 1 && batch[0].len_bytes == 16 && batch.end() - batch.begin() == 1, "a batch");
        expect(subscriber.next_batch(16).empty(), "nothing more");
    }

    auto broken = client.subscriber({{"md", OYEZ_START_EARLIEST}, {"other", OYEZ_START_SEQUENCE, 9}});
    expect(!broken.failed(), "nothing has failed");
    try {
        for (;;)
            broken.next_batch(16);
    } catch (const oyez::error &error) {
        expect(error.code() == OYEZ_ERR_AHEAD && !error.is_fatal() && broken.failed() == 1u, "the second topic has failed");
    }
    broken.seek(1, OYEZ_START_LIVE);
    expect(!broken.failed() && broken.next_batch(16).size() < 16, "mended");

    oyez::client several(oyez::config{{"in_process", "orders:4"}});
    auto all = several.subscriber({{"orders", OYEZ_START_LIVE, 0, 0, OYEZ_ALL_PARTITIONS}});
    auto orders = several.keyed_publisher("orders", {3, 0}, std::chrono::nanoseconds::max());
    const std::string_view message("\x08\0\1\0\1\0\0\0", 8);
    expect(oyez::partition_of("EURUSD", 4) == 3 && orders.offer("EURUSD", message)->sequence == 0, "by key");
    try {
        orders.offer("FR0000131104", message);
        expect(false, "a partition of others");
    } catch (const std::out_of_range &error) {
        expect(std::string(error.what()).find("orders, partition 2") != std::string::npos, error.what());
    }
    try {
        several.keyed_publisher("orders");
        expect(false, "all of them or none");
    } catch (const oyez::error &error) {
        expect(error.code() == OYEZ_ERR_NOT_GRANTED, error.what());
    }
    orders.of_partition(2) = several.publisher("orders", 2);
    orders.of_partition(0).reset();
    expect(orders.offer("FR0000131104", message).has_value() && orders.partitions() == 4, "taken in");
    several.publisher("orders", 0).close();
    std::vector<std::pair<uint32_t, uint16_t>> came;
    while (came.size() < 2)
        all.poll(16, [&](const oyez_event &event) noexcept {
            if (event.kind == OYEZ_EVENT_MESSAGE)
                came.emplace_back(event.topic, event.partition);
        });
    std::sort(came.begin(), came.end());
    expect(came == std::vector<std::pair<uint32_t, uint16_t>>{{2, 2}, {3, 3}}, "of all partitions");
}
