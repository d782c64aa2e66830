/* Messages of 20 MB, published in each way and taken in each way: large SOCKET, where the topic `long` is. */

#include <oyez.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN_BYTES 20000000u
#define MESSAGES 3

static uint8_t message[LEN_BYTES];

static void must(const char *what, int32_t got) {
    char text[512];
    if (got >= 0)
        return;
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "%s: %d: %s\n", what, got, text);
    exit(1);
}

/* No part of it is like another part or another message. */
static const uint8_t *message_of(uint64_t number) {
    for (uint32_t at = 0; at < LEN_BYTES; ++at)
        message[at] = (uint8_t)((at * 2654435761u >> 24) + number);
    return message;
}

static void take(void *context, const oyez_event *event) {
    uint64_t *next = context;
    if (event->kind != OYEZ_EVENT_MESSAGE)
        return;
    if (event->sequence != *next || event->len_bytes != LEN_BYTES ||
        memcmp(event->bytes, message_of(*next), LEN_BYTES) != 0) {
        fprintf(stderr, "message %llu is not what was published\n", (unsigned long long)event->sequence);
        exit(1);
    }
    ++*next;
}

static int32_t take_on(void *context, const oyez_event *event) {
    take(context, event);
    return OYEZ_CONTINUE;
}

static void publish_all(const oyez_client *client) {
    oyez_publisher *publisher;
    oyez_published published = {.struct_size = sizeof published};
    uint8_t *place;
    oyez_part parts[2] = {{message, 7}, {message + 7, LEN_BYTES - 7}};
    must("publisher", oyez_publisher_open(client, "long", 0, NULL, &publisher));
    must("offer", oyez_publisher_offer(publisher, message_of(0), LEN_BYTES, &published));
    must("claim", oyez_publisher_claim(publisher, LEN_BYTES, &place));
    memcpy(place, message_of(1), LEN_BYTES);
    must("commit", oyez_publisher_commit(publisher, &published));
    message_of(2);
    must("parts", oyez_publisher_offerv(publisher, parts, 2, &published));
    must("wait", oyez_publisher_wait(publisher, published.position, OYEZ_DURABLE, 60000000000u));
    must("publisher", oyez_publisher_close(&publisher));
}

static int32_t poll_once(oyez_subscriber *subscriber, int way, uint64_t *next) {
    oyez_event events[8];
    int32_t count;
    if (way == 0)
        return oyez_subscriber_poll(subscriber, take, next, 8);
    if (way == 1)
        return oyez_subscriber_poll_controlled(subscriber, take_on, next, 8);
    events[0].struct_size = sizeof events[0];
    count = oyez_subscriber_next_batch(subscriber, events, 8);
    for (int32_t index = 0; index < count; ++index)
        take(next, &events[index]);
    return count;
}

int main(int argc, char **argv) {
    oyez_config *config;
    oyez_client *client;
    oyez_topic_info info = {.struct_size = sizeof info};
    oyez_subscription topic = {.struct_size = sizeof topic, .topic = "long", .start = OYEZ_START_EARLIEST};
    must("config", oyez_config_new(OYEZ_ABI_VERSION, &config));
    must("socket", argc == 2 ? oyez_config_set(config, "socket", argv[1]) : OYEZ_ERR_INTERNAL);
    must("client", oyez_client_open(config, &client));
    must("free", oyez_config_free(&config));
    publish_all(client);
    for (int way = 0; way < 3; ++way) {
        oyez_subscriber *subscriber;
        uint64_t next = 0;
        must("subscriber", oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));
        while (next < MESSAGES)
            must("poll", poll_once(subscriber, way, &next));
        must("subscriber", oyez_subscriber_close(&subscriber));
    }
    must("describe", oyez_client_describe(client, "long", 0, &info));
    printf("longest %llu\n", (unsigned long long)info.message_bytes_max);
    must("client", oyez_client_close(&client));
    return 0;
}
