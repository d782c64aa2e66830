/* Goes on where it was, exactly: reads a topic up to its present end, and keeps its place in FILE.
 *   catch_up SOCKET TOPIC FILE
 * The first run starts with the oldest message there is. Every message is taken once, whatever happens in between, or
 * it is said which are not to be had.
 */

#include <oyez.h>

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int32_t answer) {
    char text[512];
    if (answer >= 0)
        return;
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "catch_up: %s\n", text);
    exit(1);
}

struct taken {
    uint64_t messages;
    int caught_up;
};

static void take(void *context, const oyez_event *event) {
    struct taken *taken = context;
    switch (event->kind) {
    case OYEZ_EVENT_MESSAGE: ++taken->messages; break;
    case OYEZ_EVENT_GAP:
        printf("messages %" PRIu64 " to %" PRIu64 " are lost, cause %d\n", event->sequence, event->to_sequence, event->cause);
        break;
    case OYEZ_EVENT_REWOUND:
        printf("messages from %" PRIu64 " on never happened: undo them\n", event->to_sequence);
        break;
    case OYEZ_EVENT_CAUGHT_UP: taken->caught_up = 1; break;
    default: break;
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return fprintf(stderr, "catch_up SOCKET TOPIC FILE\n"), 2;
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    oyez_subscriber *subscriber = NULL;
    oyez_progress progress = {.struct_size = sizeof progress};
    oyez_subscription topic = {.struct_size = sizeof topic, .start = OYEZ_START_EARLIEST, .topic = argv[2]};
    FILE *file = fopen(argv[3], "r");
    if (file && fscanf(file, "%" SCNu32 " %" SCNu64, &topic.start_epoch, &topic.start_at) == 2)
        topic.start = OYEZ_START_RESUME;
    if (file)
        fclose(file);

    check(oyez_config_new(OYEZ_ABI_VERSION, &config));
    check(oyez_config_set(config, "socket", argv[1]));
    check(oyez_client_open(config, &client));
    check(oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));

    struct taken taken = {0, 0};
    for (int32_t given = 1; !taken.caught_up || given > 0;) {
        check(given = oyez_subscriber_poll(subscriber, take, &taken, 256));
        if (given == 0)
            sched_yield();
    }
    check(oyez_subscriber_progress(subscriber, 0, &progress));
    file = fopen(argv[3], "w");
    if (!file || fprintf(file, "%" PRIu32 " %" PRIu64 "\n", progress.epoch, progress.next_sequence) < 0 || fclose(file) != 0)
        return perror(argv[3]), 1;
    printf("took %" PRIu64 " messages, next is %" PRIu64 "\n", taken.messages, progress.next_sequence);

    check(oyez_subscriber_close(&subscriber));
    check(oyez_client_close(&client));
    check(oyez_config_free(&config));
    return 0;
}
