/* The conformance script by the C functions: driver SOCKET SCRIPT PREFIX, where PREFIX comes before each topic's name. */

#include <oyez.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HANDLES 256
#define MESSAGE_BYTES_MAX (1u << 22)
#define EVENTS_MAX 64
#define TOPICS_MAX 4

static const char *prefix;
static oyez_client *client;
/* By their one-letter names. */
static oyez_publisher *publishers[HANDLES];
static oyez_subscriber *subscribers[HANDLES];
static uint64_t last_position[HANDLES];
/* The message that is told. */
static uint8_t message[MESSAGE_BYTES_MAX];

/* The name of a code: what stands before the colon in its text. */
static void print_code(int32_t code) {
    const char *text = oyez_strerror(code < 0 ? code : OYEZ_OK);
    printf("%.*s", (int)strcspn(text, ":"), text);
}

static const char *named(const char *topic) {
    static char name[TOPICS_MAX][64];
    static int turn;
    turn = (turn + 1) % TOPICS_MAX;
    snprintf(name[turn], sizeof name[turn], "%s%s", prefix, topic);
    return name[turn];
}

/* SBE message header of schema 7, and the body: TEMPLATE:BODY, or ~N. */
static size_t message_of(const char *told) {
    size_t len = 0;
    unsigned template_id = 1;
    if (told[0] == '~') {
        len = strtoul(told + 1, NULL, 10);
        memset(message + 8, 'x', len);
    } else {
        char *body;
        template_id = (unsigned)strtoul(told, &body, 10);
        len = strlen(++body);
        memcpy(message + 8, body, len);
    }
    const uint16_t header[4] = {(uint16_t)len, (uint16_t)template_id, 7, 0};
    memcpy(message, header, sizeof header);
    return sizeof header + len;
}

static void print_published(int32_t code, char name, const oyez_published *published) {
    print_code(code);
    if (code == OYEZ_OK) {
        last_position[(int)name] = published->position;
        printf(" %llu", (unsigned long long)published->sequence);
    }
}

static void offer(char name, const char *told) {
    oyez_published published = {sizeof published, 0, 0, 0, 0};
    size_t len = message_of(told);
    print_published(oyez_publisher_offer(publishers[(int)name], message, len, &published), name, &published);
}

static void offerv(char name, const char *told, const char *rest) {
    oyez_published published = {sizeof published, 0, 0, 0, 0};
    oyez_part parts[2] = {{message, message_of(told)}, {(const uint8_t *)rest, strlen(rest)}};
    print_published(oyez_publisher_offerv(publishers[(int)name], parts, 2, &published), name, &published);
}

static void claim(char name, const char *told) {
    uint8_t *bytes;
    size_t len = message_of(told);
    int32_t code = oyez_publisher_claim(publishers[(int)name], len, &bytes);
    if (code == OYEZ_OK)
        memcpy(bytes, message, len);
    print_code(code == OYEZ_OK && (uintptr_t)bytes % 8 != 0 ? OYEZ_ERR_INTERNAL : code);
}

static void commit(char name) {
    oyez_published published = {sizeof published, 0, 0, 0, 0};
    print_published(oyez_publisher_commit(publishers[(int)name], &published), name, &published);
}

/* live, earliest, sequence:N, resume:EPOCH:N, time:NS */
static void start_of(const char *told, int32_t *start, uint32_t *epoch, uint64_t *at) {
    static const char *const kinds[] = {"live", "earliest", "sequence", "resume", "time"};
    char *rest = (char *)told + strcspn(told, ":");
    *start = OYEZ_START_LIVE;
    while (strncmp(told, kinds[*start], (size_t)(rest - told)) != 0)
        ++*start;
    if (*start == OYEZ_START_RESUME)
        *epoch = (uint32_t)strtoul(rest + 1, &rest, 10);
    if (*rest == ':')
        *at = strtoull(rest + 1, NULL, 10);
}

/* TOPIC/PARTITION@START,… */
static void subscribe(char name, int32_t durability, char *told) {
    oyez_subscription topics[TOPICS_MAX];
    oyez_subscriber_options options = {sizeof options, durability, 0};
    size_t count = 0;
    char *place = NULL;
    for (char *topic = strtok_r(told, ",", &place); topic; topic = strtok_r(NULL, ",", &place)) {
        oyez_subscription *subscription = &topics[count++];
        char *slash = strchr(topic, '/'), *at = strchr(topic, '@');
        *slash = *at = '\0';
        memset(subscription, 0, sizeof *subscription);
        subscription->struct_size = sizeof *subscription;
        subscription->topic = named(topic);
        subscription->partition = OYEZ_ALL_PARTITIONS;
        if (strcmp(slash + 1, "all") != 0)
            subscription->partition = (uint16_t)strtoul(slash + 1, NULL, 10);
        start_of(at + 1, &subscription->start, &subscription->start_epoch, &subscription->start_at);
    }
    print_code(oyez_subscriber_open(client, topics, count, &options, &subscribers[(int)name]));
}

/* What came, as text. */
struct told {
    size_t count;
    uint32_t topic[EVENTS_MAX];
    char text[EVENTS_MAX][64];
    int32_t verdict;
};

/* A body of so many x? They are told by their number. */
static int is_long(const char *body, size_t len) {
    return len > 40 && body[0] == 'x' && memcmp(body, body + 1, len - 1) == 0;
}

static void tell(struct told *told, const oyez_event *event) {
    char *out = told->text[told->count];
    size_t room = sizeof told->text[0];
    unsigned long long sequence = event->sequence, to_sequence = event->to_sequence;
    const char *body;
    size_t len;
    told->topic[told->count++] = event->topic;
    switch (event->kind) {
    case OYEZ_EVENT_MESSAGE:
        body = (const char *)event->bytes + 8;
        len = event->len_bytes - 8;
        if (is_long(body, len))
            snprintf(out, room, "message %llu %u:~%zu", sequence, event->template_id, len);
        else
            snprintf(out, room, "message %llu %u:%.*s", sequence, event->template_id, (int)len, body);
        break;
    case OYEZ_EVENT_EPOCH: snprintf(out, room, "epoch %u from %llu", event->epoch, sequence); break;
    case OYEZ_EVENT_CAUGHT_UP: snprintf(out, room, "caught-up %llu", sequence); break;
    case OYEZ_EVENT_GAP: snprintf(out, room, "gap %llu %llu %d", sequence, to_sequence, event->cause); break;
    case OYEZ_EVENT_LAPPED: snprintf(out, room, "lapped %llu", sequence); break;
    default: snprintf(out, room, "rewound %llu %llu", sequence, to_sequence);
    }
}

static void print_told(const struct told *told) {
    const char *between = "";
    for (uint32_t topic = 0; topic < TOPICS_MAX; ++topic)
        for (size_t index = 0; index < told->count; ++index)
            if (told->topic[index] == topic) {
                printf("%s%s", between, told->text[index]);
                between = "; ";
            }
}

static void take(void *told, const oyez_event *event) {
    tell(told, event);
}

static int32_t take_controlled(void *context, const oyez_event *event) {
    struct told *told = context;
    tell(told, event);
    return told->verdict;
}

enum how { HANDLER, BATCH, AGAIN, BREAK };

static int32_t poll_once(oyez_subscriber *subscriber, enum how how, struct told *told, size_t wanted) {
    oyez_event events[EVENTS_MAX];
    int32_t count = 0;
    switch (how) {
    case HANDLER: return oyez_subscriber_poll(subscriber, take, told, wanted);
    case BATCH:
        events[0].struct_size = sizeof events[0];
        count = oyez_subscriber_next_batch(subscriber, events, wanted);
        for (int32_t index = 0; index < count; ++index)
            tell(told, &events[index]);
        return count;
    case AGAIN: /* The first time it is not taken. */
        told->verdict = told->count == 0 ? OYEZ_ABORT : OYEZ_CONTINUE;
        return oyez_subscriber_poll_controlled(subscriber, take_controlled, told, 1);
    case BREAK:
        told->verdict = OYEZ_BREAK;
        return oyez_subscriber_poll_controlled(subscriber, take_controlled, told, EVENTS_MAX);
    }
    return OYEZ_ERR_INTERNAL;
}

static void receive(char name, enum how how, size_t wanted) {
    struct told told;
    const time_t deadline = time(NULL) + 60;
    told.count = 0;
    while (told.count < wanted) {
        int32_t count = poll_once(subscribers[(int)name], how, &told, wanted - told.count);
        if (count < 0) {
            print_code(count);
            return;
        }
        if (time(NULL) > deadline) {
            printf("NOTHING MORE CAME AFTER ");
            break;
        }
    }
    print_told(&told);
}

static void step(char *line) {
    char *words[4] = {"", "", "", ""}, *place = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &place); word && count < 4; word = strtok_r(NULL, " ", &place))
        words[count++] = word;
    const char *verb = words[0], name = words[1][0];
    oyez_publisher *publisher = publishers[(int)name];
    oyez_subscriber *subscriber = subscribers[(int)name];
    if (strcmp(verb, "describe") == 0) {
        oyez_topic_info info = {.struct_size = sizeof info};
        int32_t code = oyez_client_describe(client, named(words[1]), 0, &info);
        print_code(code);
        if (code == OYEZ_OK)
            printf(" partitions %u durability %d", info.partitions, info.durability);
    } else if (strcmp(verb, "key") == 0) {
        printf("OK %d", oyez_partition_of((const uint8_t *)words[1], strlen(words[1]), (uint16_t)atoi(words[2])));
    } else if (strcmp(verb, "publisher") == 0) {
        print_code(oyez_publisher_open(client, named(words[2]), (uint16_t)atoi(words[3]), NULL, &publishers[(int)name]));
    } else if (strcmp(verb, "next") == 0) {
        uint64_t sequence = 0;
        print_code(oyez_publisher_next_sequence(publisher, &sequence));
        printf(" %llu", (unsigned long long)sequence);
    } else if (strcmp(verb, "offer") == 0) {
        offer(name, words[2]);
    } else if (strcmp(verb, "offerv") == 0) {
        offerv(name, words[2], words[3]);
    } else if (strcmp(verb, "claim") == 0) {
        claim(name, words[2]);
    } else if (strcmp(verb, "commit") == 0) {
        commit(name);
    } else if (strcmp(verb, "abort") == 0) {
        print_code(oyez_publisher_abort(publisher));
    } else if (strcmp(verb, "wait") == 0) {
        print_code(oyez_publisher_wait(publisher, last_position[(int)name], atoi(words[2]), 60000000000u));
    } else if (strcmp(verb, "subscriber") == 0) {
        subscribe(name, atoi(words[2]), words[3]);
    } else if (strcmp(verb, "take") == 0) {
        receive(name, HANDLER, strtoul(words[2], NULL, 10));
    } else if (strcmp(verb, "batch") == 0) {
        receive(name, BATCH, strtoul(words[2], NULL, 10));
    } else if (strcmp(verb, "again") == 0) {
        receive(name, AGAIN, 2);
    } else if (strcmp(verb, "break") == 0) {
        receive(name, BREAK, 1);
    } else if (strcmp(verb, "idle") == 0) {
        struct told told = {.count = 0};
        print_code(oyez_subscriber_poll(subscriber, take, &told, 1));
        print_told(&told);
    } else if (strcmp(verb, "sleep") == 0) {
        int32_t woken = oyez_subscriber_wait(subscriber, 60000000000u);
        print_code(woken > 0 ? OYEZ_OK : woken);
        printf(woken > 0 ? " woken" : " quiet");
    } else if (strcmp(verb, "doze") == 0) {
        struct pollfd source = {.fd = oyez_subscriber_fd(subscriber), .events = POLLIN};
        int32_t now = oyez_subscriber_arm(subscriber);
        print_code(now > 0 ? OYEZ_OK : now);
        printf(now > 0 || poll(&source, 1, 60000) == 1 ? " woken" : " quiet");
    } else if (strcmp(verb, "seek") == 0) {
        int32_t start;
        uint32_t epoch = 0;
        uint64_t at = 0;
        start_of(words[3], &start, &epoch, &at);
        print_code(oyez_subscriber_seek(subscriber, (uint32_t)atoi(words[2]), start, epoch, at));
    } else if (strcmp(verb, "progress") == 0) {
        oyez_progress progress = {.struct_size = sizeof progress};
        print_code(oyez_subscriber_progress(subscriber, (uint32_t)atoi(words[2]), &progress));
        printf(" epoch %u next ", progress.epoch);
        if (progress.is_known)
            printf("%llu", (unsigned long long)progress.next_sequence);
        else
            printf("?");
    } else if (strcmp(verb, "lag") == 0) {
        oyez_lag lag = {.struct_size = sizeof lag};
        print_code(oyez_subscriber_lag(subscriber, (uint32_t)atoi(words[2]), &lag));
        printf(lag.is_known ? " messages %llu" : " messages ?", (unsigned long long)lag.messages);
    } else if (strcmp(verb, "stats") == 0 && subscriber) {
        oyez_subscriber_counts counts = {.struct_size = sizeof counts};
        print_code(oyez_subscriber_stats(subscriber, &counts));
        printf(" messages %llu gaps %llu missing %llu", (unsigned long long)counts.messages,
               (unsigned long long)counts.gaps, (unsigned long long)counts.missing);
    } else if (strcmp(verb, "stats") == 0) {
        oyez_publisher_counts counts = {.struct_size = sizeof counts};
        print_code(oyez_publisher_stats(publisher, &counts));
        printf(" messages %llu refused %llu", (unsigned long long)counts.messages, (unsigned long long)counts.refused);
    } else if (strcmp(verb, "close") == 0) {
        print_code(publisher ? oyez_publisher_close(&publishers[(int)name]) : oyez_subscriber_close(&subscribers[(int)name]));
    } else {
        printf("NO SUCH STEP");
    }
}

int main(int argc, char **argv) {
    oyez_config *config;
    char line[512];
    FILE *script = argc == 4 ? fopen(argv[2], "r") : NULL;
    if (!script || oyez_config_new(OYEZ_ABI_VERSION, &config) || oyez_config_set(config, "socket", argv[1]) ||
        oyez_config_set(config, "timeout_ms", "60000") ||
        oyez_client_open(config, &client)) {
        oyez_last_error(NULL, line, sizeof line);
        fprintf(stderr, "driver SOCKET SCRIPT PREFIX: %s\n", line);
        return 2;
    }
    prefix = argv[3];
    oyez_config_free(&config);
    while (fgets(line, sizeof line, script)) {
        char *arrow = strstr(line, " -> ");
        line[strcspn(line, "\n")] = '\0';
        if (arrow && line[0] != '#') {
            *arrow = '\0';
            printf("%s -> ", line);
            step(line);
            printf("\n");
        } else {
            printf("%s\n", line);
        }
    }
    fclose(script);
    return oyez_client_close(&client) == OYEZ_OK ? 0 : 1;
}
