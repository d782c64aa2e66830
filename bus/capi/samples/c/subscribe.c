/* Reads the next COUNT messages of a topic, live: subscribe SOCKET TOPIC COUNT */

#include <oyez.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int32_t answer) {
    char text[512];
    if (answer >= 0)
        return;
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "subscribe: %s\n", text);
    exit(1);
}

static void take(void *context, const oyez_event *event) {
    uint64_t *messages = context, number = 0;
    if (event->kind == OYEZ_EVENT_MESSAGE) {
        if (event->len_bytes >= 8 + sizeof number)
            memcpy(&number, event->bytes + 8, sizeof number);
        printf("message %llu: %llu\n", (unsigned long long)event->sequence, (unsigned long long)number);
        ++*messages;
    } else if (event->kind == OYEZ_EVENT_GAP) {
        printf("messages %llu to %llu are lost\n", (unsigned long long)event->sequence,
               (unsigned long long)event->to_sequence);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return fprintf(stderr, "subscribe SOCKET TOPIC COUNT\n"), 2;
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    oyez_subscriber *subscriber = NULL;
    oyez_subscription topic = {.struct_size = sizeof topic, .start = OYEZ_START_LIVE, .topic = argv[2]};
    check(oyez_config_new(OYEZ_ABI_VERSION, &config));
    check(oyez_config_set(config, "socket", argv[1]));
    check(oyez_client_open(config, &client));
    check(oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));
    printf("subscribed\n");
    fflush(stdout);

    for (uint64_t messages = 0, count = strtoull(argv[3], NULL, 10); messages < count;) {
        int32_t given = oyez_subscriber_poll(subscriber, take, &messages, 256);
        check(given);
        if (given == 0)
            sched_yield();
    }

    check(oyez_subscriber_close(&subscriber));
    check(oyez_client_close(&client));
    check(oyez_config_free(&config));
    return 0;
}
