/* Round trips between two processes, each on a core of its own, both spinning:
 *   ping_pong SOCKET THERE BACK ROUNDS pong &      answers on BACK what comes on THERE
 *   ping_pong SOCKET THERE BACK ROUNDS ping        tells the median of the round trips
 */

#include <oyez.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int32_t answer) {
    char text[512];
    if (answer >= 0)
        return;
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "ping_pong: %s\n", text);
    exit(1);
}

static uint8_t message[64] = {56, 0, 1, 0, 1, 0, 0, 0};

static void take(void *context, const oyez_event *event) {
    *(uint64_t *)context += event->kind == OYEZ_EVENT_MESSAGE && event->len_bytes == sizeof message;
}

static void await(oyez_subscriber *subscriber, uint64_t *messages, uint64_t wanted) {
    while (*messages < wanted)
        check(oyez_subscriber_poll(subscriber, take, messages, 1));
}

static uint64_t send(oyez_publisher *publisher, uint64_t number) {
    oyez_published published = {sizeof published, 0, 0, 0, 0};
    int32_t answer;
    memcpy(message + 8, &number, sizeof number);
    while ((answer = oyez_publisher_offer(publisher, message, sizeof message, &published)) == OYEZ_ERR_BACK_PRESSURED)
        ;
    check(answer);
    return published.time_ns;
}

static int by_size(const void *left, const void *right) {
    uint64_t one = *(const uint64_t *)left, other = *(const uint64_t *)right;
    return (one > other) - (one < other);
}

int main(int argc, char **argv) {
    if (argc != 6)
        return fprintf(stderr, "ping_pong SOCKET THERE BACK ROUNDS ping|pong\n"), 2;
    const int pings = strcmp(argv[5], "ping") == 0;
    const uint64_t rounds = strtoull(argv[4], NULL, 10);
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    oyez_publisher *publisher = NULL;
    oyez_subscriber *subscriber = NULL;
    oyez_publisher_options patient = {.struct_size = sizeof patient, .wait_ns = 60000000000u};
    oyez_subscription topic = {.struct_size = sizeof topic, .start = OYEZ_START_EARLIEST};
    topic.topic = pings ? argv[3] : argv[2];
    check(oyez_config_new(OYEZ_ABI_VERSION, &config));
    check(oyez_config_set(config, "socket", argv[1]));
    check(oyez_client_open(config, &client));
    check(oyez_publisher_open(client, pings ? argv[2] : argv[3], 0, &patient, &publisher));
    check(oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));

    /* From one publish to the next: no clock is read that the bus does not read by itself. */
    uint64_t *round_trips_ns = calloc(rounds + 1, sizeof *round_trips_ns), messages = 0, last_ns = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
        if (!pings)
            await(subscriber, &messages, round + 1);
        uint64_t time_ns = send(publisher, round);
        round_trips_ns[round] = time_ns - last_ns;
        last_ns = time_ns;
        if (pings)
            await(subscriber, &messages, round + 1);
    }
    if (pings && rounds > 1) {
        qsort(round_trips_ns + 1, rounds - 1, sizeof *round_trips_ns, by_size);
        printf("median round trip of %llu: %llu ns\n", (unsigned long long)rounds,
               (unsigned long long)round_trips_ns[1 + (rounds - 1) / 2]);
    }
    free(round_trips_ns);
    check(oyez_subscriber_close(&subscriber));
    check(oyez_publisher_close(&publisher));
    check(oyez_client_close(&client));
    check(oyez_config_free(&config));
    return 0;
}
