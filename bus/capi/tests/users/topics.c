/* One topic cannot be read on, and the other is always busy: in each way of reading the error is told, with the topic's
 * index, and nothing of the other is lost. Then a seek that fails. */

#include <oyez.h>

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 100
#define EVENTS 16

static void fail(const char *what, int64_t got, int64_t expected) {
    char text[512];
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "%s: %lld instead of %lld: %s\n", what, (long long)got, (long long)expected, text);
    exit(1);
}

static void expect(const char *what, int64_t got, int64_t expected) {
    if (got != expected)
        fail(what, got, expected);
}

static oyez_client *open_client(const char *topics) {
    oyez_config *config;
    oyez_client *client;
    expect("config", oyez_config_new(OYEZ_ABI_VERSION, &config), OYEZ_OK);
    expect("topics", oyez_config_set(config, "in_process", topics), OYEZ_OK);
    expect("client", oyez_client_open(config, &client), OYEZ_OK);
    expect("free", oyez_config_free(&config), OYEZ_OK);
    return client;
}

static oyez_publisher *open_publisher(const oyez_client *client, const char *topic) {
    oyez_publisher *publisher;
    expect(topic, oyez_publisher_open(client, topic, 0, NULL, &publisher), OYEZ_OK);
    return publisher;
}

static void offer(oyez_publisher *publisher) {
    const uint8_t message[64] = {56, 0, 1, 0, 1, 0, 0, 0};
    expect("offer", oyez_publisher_offer(publisher, message, sizeof message, NULL), OYEZ_OK);
}

/* What was heard: events, and of messages how many, and that of topic 0 none is missing. */
struct heard {
    int64_t events, messages;
    uint64_t next;
    /* The event that is not taken; -1 for none. */
    int64_t abort_at;
};

static void hear(void *context, const oyez_event *event) {
    struct heard *heard = context;
    heard->events++;
    if (event->kind != OYEZ_EVENT_MESSAGE)
        return;
    expect("the next message", (int64_t)event->sequence, (int64_t)heard->next);
    heard->messages++;
    heard->next++;
}

static int32_t hear_until(void *context, const oyez_event *event) {
    struct heard *heard = context;
    if (heard->abort_at >= 0 && event->kind == OYEZ_EVENT_MESSAGE && (int64_t)event->sequence == heard->abort_at)
        return OYEZ_ABORT;
    hear(heard, event);
    return OYEZ_CONTINUE;
}

static int32_t poll(oyez_subscriber *subscriber, struct heard *heard) {
    return oyez_subscriber_poll(subscriber, hear, heard, EVENTS);
}

static int32_t poll_controlled(oyez_subscriber *subscriber, struct heard *heard) {
    return oyez_subscriber_poll_controlled(subscriber, hear_until, heard, EVENTS);
}

static int32_t next_batch(oyez_subscriber *subscriber, struct heard *heard) {
    oyez_event events[EVENTS] = {{.struct_size = sizeof *events}};
    int32_t given = oyez_subscriber_next_batch(subscriber, events, EVENTS);
    for (int32_t at = 0; at < given; ++at)
        hear(heard, &events[at]);
    return given;
}

typedef int32_t (*way)(oyez_subscriber *, struct heard *);

/* One message is out before each call, and what a call answers is what it handed out. */
static int32_t round_of(way call, oyez_publisher *publisher, oyez_subscriber *subscriber, struct heard *heard) {
    int64_t before = heard->events;
    offer(publisher);
    int32_t answer = call(subscriber, heard);
    expect("events of a call", heard->events - before, answer < 0 ? 0 : answer);
    return answer;
}

static void reads_beside_a_broken_topic(way call) {
    oyez_client *client = open_client("good,bad");
    oyez_publisher *good = open_publisher(client, "good"), *bad = open_publisher(client, "bad");
    oyez_subscription topics[] = {
        {.struct_size = sizeof *topics, .topic = "good", .start = OYEZ_START_EARLIEST},
        {.struct_size = sizeof *topics, .topic = "bad", .start = OYEZ_START_SEQUENCE, .start_at = 9},
    };
    oyez_subscriber *subscriber;
    expect("subscriber", oyez_subscriber_open(client, topics, 2, NULL, &subscriber), OYEZ_OK);
    struct heard heard = {.abort_at = -1};
    uint32_t topic = 7;
    expect("nothing has failed", oyez_subscriber_failed(subscriber, &topic), 0);

    int errors = 0;
    int32_t answer = 0;
    for (int round = 0; round < ROUNDS; ++round) {
        answer = round_of(call, good, subscriber, &heard);
        if (answer >= 0)
            continue;
        expect("the error", answer, OYEZ_ERR_AHEAD);
        expect("a topic has failed", oyez_subscriber_failed(subscriber, &topic), 1);
        expect("which", topic, 1);
        errors++;
    }
    if (errors < ROUNDS / 3 || errors > ROUNDS * 2 / 3)
        fail("errors are told, and do not stand in the way", errors, ROUNDS / 2);

    /* A seek in the other topic leaves what is to be told as it is; one in the broken topic takes it back, and mends it. */
    while (round_of(call, good, subscriber, &heard) < 0)
        ;
    expect("elsewhere", oyez_subscriber_seek(subscriber, 0, OYEZ_START_SEQUENCE, 0, heard.next), OYEZ_OK);
    expect("told all the same", round_of(call, good, subscriber, &heard), OYEZ_ERR_AHEAD);
    while (round_of(call, good, subscriber, &heard) < 0)
        ;
    expect("mended", oyez_subscriber_seek(subscriber, 1, OYEZ_START_LIVE, 0, 0), OYEZ_OK);
    expect("nothing has failed", oyez_subscriber_failed(subscriber, &topic), 0);
    for (int round = 0; round < ROUNDS; ++round)
        if ((answer = round_of(call, good, subscriber, &heard)) < 0)
            fail("no error", answer, 0);
    uint64_t published = 0;
    expect("next", oyez_publisher_next_sequence(good, &published), OYEZ_OK);
    expect("every message", (int64_t)heard.next, (int64_t)published);
    expect("close", oyez_subscriber_close(&subscriber), OYEZ_OK);
    expect("close", oyez_publisher_close(&good), OYEZ_OK);
    expect("close", oyez_publisher_close(&bad), OYEZ_OK);
    expect("close", oyez_client_close(&client), OYEZ_OK);
}

/* A start that is not found: what was taken before it is not handed out behind it. */
static void seeks_in_vain(void) {
    oyez_client *client = open_client("md");
    oyez_publisher *publisher = open_publisher(client, "md");
    oyez_subscription topic = {.struct_size = sizeof topic, .topic = "md", .start = OYEZ_START_EARLIEST};
    oyez_subscriber *subscriber;
    expect("subscriber", oyez_subscriber_open(client, &topic, 1, NULL, &subscriber), OYEZ_OK);
    for (int count = 0; count < 10; ++count)
        offer(publisher);
    struct heard heard = {.abort_at = 4};
    while (poll_controlled(subscriber, &heard) > 0)
        ;
    expect("messages", heard.messages, 4);
    expect("seek", oyez_subscriber_seek(subscriber, 0, OYEZ_START_RESUME, 9, 2), OYEZ_ERR_UNKNOWN_EPOCH);
    oyez_progress progress = {.struct_size = sizeof progress};
    expect("progress", oyez_subscriber_progress(subscriber, 0, &progress), OYEZ_OK);
    if (progress.is_known && progress.next_sequence == 4)
        fail("what was left is forgotten", 4, 2);
    expect("seek", oyez_subscriber_seek(subscriber, 0, OYEZ_START_SEQUENCE, 0, 1), OYEZ_OK);
    heard = (struct heard){.next = 1, .abort_at = -1};
    while (poll(subscriber, &heard) > 0)
        ;
    expect("messages", heard.messages, 9);
    expect("close", oyez_subscriber_close(&subscriber), OYEZ_OK);
    expect("close", oyez_publisher_close(&publisher), OYEZ_OK);
    expect("close", oyez_client_close(&client), OYEZ_OK);
}

int main(void) {
    struct {
        const char *name;
        way call;
    } ways[] = {{"poll", poll}, {"poll_controlled", poll_controlled}, {"next_batch", next_batch}};
    for (size_t at = 0; at < sizeof ways / sizeof *ways; ++at) {
        reads_beside_a_broken_topic(ways[at].call);
        puts(ways[at].name);
    }
    seeks_in_vain();
    puts("seek");
    return 0;
}
