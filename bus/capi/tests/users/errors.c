/* Provokes every code, at a broker that does what its topics' names say: errors SOCKET. Each line begins with the code. */

#include <oyez.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what, int32_t got, int32_t expected) {
    char text[512];
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "%s: %d instead of %d: %s\n", what, got, expected, text);
    exit(1);
}

/* The code is the thread's last error, told in one line, and stays when a call succeeds. */
static void expect(const char *what, int32_t got, int32_t expected) {
    char text[512];
    int32_t code = OYEZ_OK, len = oyez_last_error(&code, text, sizeof text);
    if (got != expected || code != expected || len < 10 || (size_t)len != strlen(text) || strchr(text, '\n'))
        fail(what, got, expected);
    printf("%d %s: %s\n", code, what, text);
}

static void must(const char *what, int32_t got) {
    if (got < 0)
        fail(what, got, OYEZ_OK);
}

static oyez_client *open_client(const char *key, const char *value) {
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    must("config", oyez_config_new(OYEZ_ABI_VERSION, &config));
    must("timeout", oyez_config_set(config, "timeout_ms", "2000"));
    must(key, oyez_config_set(config, key, value));
    must("client", oyez_client_open(config, &client));
    must("free", oyez_config_free(&config));
    return client;
}

static int32_t open_publisher(const oyez_client *client, const char *topic, oyez_publisher **publisher) {
    return oyez_publisher_open(client, topic, 0, NULL, publisher);
}

static int32_t open_subscriber(const oyez_client *client, const char *topic, int32_t start, uint32_t epoch,
                               uint64_t at, int32_t durability, oyez_subscriber **subscriber) {
    oyez_subscription subscription = {.struct_size = sizeof subscription, .start = start, .topic = topic};
    oyez_subscriber_options options = {sizeof options, durability, 0};
    subscription.start_epoch = epoch;
    subscription.start_at = at;
    return oyez_subscriber_open(client, &subscription, 1, &options, subscriber);
}

static void configurations(void) {
    oyez_config *config = NULL;
    oyez_client *client = (oyez_client *)1;
    char text[256];
    expect("a header from the future", oyez_config_new(OYEZ_ABI_VERSION + 1, &config), OYEZ_ERR_ABI);
    must("config", oyez_config_new(OYEZ_ABI_VERSION, &config));
    expect("an unknown key", oyez_config_set(config, "sokcet", "x"), OYEZ_ERR_CONFIG);
    expect("no number", oyez_config_set(config, "timeout_ms", "soon"), OYEZ_ERR_CONFIG);
    expect("no key", oyez_config_set(config, NULL, "x"), OYEZ_ERR_ARGUMENT);
    expect("no UTF-8", oyez_config_set(config, "name", "\xff"), OYEZ_ERR_ARGUMENT);
    expect("neither socket nor topics", oyez_client_open(config, &client), OYEZ_ERR_CONFIG);
    if (client)
        fail("a client that is none", 0, 0);
    must("topics", oyez_config_set(config, "in_process", "md, other:many"));
    expect("no count of partitions", oyez_client_open(config, &client), OYEZ_ERR_CONFIG);
    must("topics", oyez_config_set(config, "in_process", " md , other : 2 "));
    must("names and counts between spaces", oyez_client_open(config, &client));
    must("close", oyez_client_close(&client));
    must("no topics", oyez_config_set(config, "in_process", ""));
    must("socket", oyez_config_set(config, "socket", "/nowhere/bus.sock"));
    must("timeout", oyez_config_set(config, "timeout_ms", "10"));
    expect("nobody there", oyez_client_open(config, &client), OYEZ_ERR_NOT_CONNECTED);

    /* What is dumped can be loaded, and a short buffer is told how long the value is. */
    must("name", oyez_config_set(config, "name", "errors"));
    if (oyez_config_get(config, "name", text, 4) != 6 || strcmp(text, "err") != 0)
        fail("a short buffer", 0, 6);
    must("dump", oyez_config_dump(config, text, sizeof text));
    FILE *file = fopen("dumped", "w");
    fprintf(file, "# a comment\n\n%s", text);
    fclose(file);
    must("load", oyez_config_load_file(config, "dumped"));
    file = fopen("wrong", "w");
    fprintf(file, "name = x\nsokcet = y\n");
    fclose(file);
    expect("a wrong line", oyez_config_load_file(config, "wrong"), OYEZ_ERR_CONFIG);
    oyez_last_error(NULL, text, sizeof text);
    if (strstr(text, "wrong, line 2") == NULL || strstr(text, "sokcet") == NULL)
        fail(text, 0, 0);
    must("free", oyez_config_free(&config));
    must("free again", oyez_config_free(&config));
    must("free nothing", oyez_config_free(NULL));
}

/* Somebody listens there, and as many wait to be accepted as may. */
static void nobody_accepts(const char *socket) {
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s.busy", socket);
    must("config", oyez_config_new(OYEZ_ABI_VERSION, &config));
    must("timeout", oyez_config_set(config, "timeout_ms", "100"));
    must("socket", oyez_config_set(config, "socket", path));
    expect("nobody accepts", oyez_client_open(config, &client), OYEZ_ERR_TIMEOUT);
    must("free", oyez_config_free(&config));
}

static void refusals(const oyez_client *client) {
    oyez_topic_info info = {.struct_size = sizeof info};
    for (int number = 1; number <= 25; ++number) {
        char topic[32];
        snprintf(topic, sizeof topic, "refuse-%d", number);
        expect(topic, oyez_client_describe(client, topic, 0, &info), OYEZ_REFUSED_BAD_MESSAGE + 1 - number);
    }
    expect("no such partition", oyez_client_describe(client, "md", 7, &info), OYEZ_REFUSED_UNKNOWN_PARTITION);
    expect("another answer", oyez_client_describe(client, "other", 0, &info), OYEZ_ERR_PROTOCOL);
    expect("no answer", oyez_client_describe(client, "silent", 0, &info), OYEZ_ERR_TIMEOUT);
    must("an answer", oyez_client_describe(client, "md", 0, &info));
}

static void ends_with(const oyez_client *client, const char *topic, int32_t expected) {
    const uint8_t message[16] = {8, 0, 1, 0, 1, 0, 0, 0};
    oyez_publisher *publisher = NULL;
    must(topic, open_publisher(client, topic, &publisher));
    int32_t code = OYEZ_OK;
    for (int count = 0; count < 100000 && code == OYEZ_OK; ++count)
        code = oyez_publisher_offer(publisher, message, sizeof message, NULL);
    expect(topic, code, expected);
    if (expected == OYEZ_ERR_BACK_PRESSURED) {
        /* What was claimed stays, to be committed again. */
        uint8_t *bytes;
        must("claim", oyez_publisher_claim(publisher, sizeof message, &bytes));
        for (int attempt = 0; attempt < 2; ++attempt)
            expect("commit", oyez_publisher_commit(publisher, NULL), OYEZ_ERR_BACK_PRESSURED);
    }
    must("close", oyez_publisher_close(&publisher));
}

static void reads_until(const oyez_client *client, const char *topic, int32_t expected) {
    oyez_subscriber *subscriber = NULL;
    oyez_event event = {.struct_size = sizeof event};
    int32_t code;
    must(topic, open_subscriber(client, topic, OYEZ_START_EARLIEST, 0, 0, 0, &subscriber));
    while ((code = oyez_subscriber_next_batch(subscriber, &event, 1)) >= 0)
        ;
    expect(topic, code, expected);
    must("close", oyez_subscriber_close(&subscriber));
}

/* A signal that the program blocks is not taken by the library's thread: sigwait has it. */
static void signals(const oyez_client *client) {
    const struct timespec patience = {60, 0};
    oyez_topic_info info = {.struct_size = sizeof info};
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    must("the thread runs", oyez_client_describe(client, "md", 0, &info));
    must("blocked", pthread_sigmask(SIG_BLOCK, &term, NULL));
    must("sent", kill(getpid(), SIGTERM));
    if (sigtimedwait(&term, NULL, &patience) != SIGTERM)
        fail("a signal", 0, SIGTERM);
}

static void broken_brokers(const oyez_client *client) {
    oyez_publisher *publisher = NULL;
    oyez_subscriber *subscriber = NULL;
    ends_with(client, "full", OYEZ_ERR_BACK_PRESSURED);
    ends_with(client, "closing", OYEZ_ERR_CLOSED);
    ends_with(client, "ended", OYEZ_ERR_LOST);
    ends_with(client, "journal-failed", OYEZ_ERR_JOURNAL_FAILED);
    ends_with(client, "schema", OYEZ_ERR_MISFIT);
    expect("taken", open_publisher(client, "taken", &publisher), OYEZ_ERR_NOT_GRANTED);
    expect("open-page", open_publisher(client, "open-page", &publisher), OYEZ_ERR_MEMORY);
    expect("read-only", open_publisher(client, "read-only", &publisher), OYEZ_ERR_SYSTEM);
    expect("unsealed", open_subscriber(client, "unsealed", OYEZ_START_EARLIEST, 0, 0, 0, &subscriber), OYEZ_ERR_UNREADABLE);
    expect("gone", open_subscriber(client, "gone", OYEZ_START_EARLIEST, 0, 0, 0, &subscriber), OYEZ_ERR_UNREADABLE);
    reads_until(client, "unread", OYEZ_ERR_JOURNAL_READ);
    reads_until(client, "invalid", OYEZ_ERR_INVALID_FRAME);
}

struct reentered {
    oyez_subscriber *subscriber;
    int32_t poll, close, stats;
};

static void reenter(void *context, const oyez_event *event) {
    struct reentered *reentered = context;
    oyez_subscriber_counts counts = {.struct_size = sizeof counts};
    (void)event;
    reentered->stats = oyez_subscriber_stats(reentered->subscriber, &counts);
    reentered->poll = oyez_subscriber_poll(reentered->subscriber, reenter, context, 1);
    reentered->close = oyez_subscriber_close(&reentered->subscriber);
}

static int32_t nonsense(void *context, const oyez_event *event) {
    (void)context;
    (void)event;
    return 7;
}

static void arguments(void) {
    oyez_client *client = open_client("in_process", "md");
    oyez_publisher *publisher = NULL, *other = NULL;
    oyez_ingress *ingress = NULL;
    oyez_subscriber *subscriber = NULL, *second = NULL;
    oyez_published published = {sizeof published, 0, 0, 0, 0}, unset = {0, 0, 0, 0, 0};
    struct {
        oyez_published known;
        uint64_t from_the_future;
    } larger = {{sizeof larger, 0, 0, 0, 0}, 42};
    struct {
        oyez_publisher_options known;
        uint64_t from_the_future;
    } wish = {{sizeof wish, 0, 0}, 1};
    oyez_publisher_options reserved_option = {sizeof reserved_option, 1, 0};
    oyez_subscription reserved = {.struct_size = sizeof reserved, .topic = "md", .reserved = 1};
    oyez_subscriber_options large = {sizeof large, OYEZ_PUBLISHED, UINT64_MAX};
    oyez_event events[2] = {{.struct_size = sizeof *events + 1}, {.struct_size = 0}};
    uint8_t message[8192] = {8, 0, 1, 0, 1, 0, 0, 0}, *bytes;

    must("publisher", open_publisher(client, "md", &publisher));
    expect("a second owner", open_publisher(client, "md", &other), OYEZ_ERR_NOT_GRANTED);
    expect("an unknown topic", open_publisher(client, "nowhere", &other), OYEZ_REFUSED_UNKNOWN_TOPIC);
    expect("a wish from the future", oyez_publisher_open(client, "md", 0, &wish.known, &other), OYEZ_ERR_ARGUMENT);
    expect("a reserved option", oyez_publisher_open(client, "md", 0, &reserved_option, &other), OYEZ_ERR_ARGUMENT);
    expect("nothing to publish", oyez_publisher_offer(publisher, NULL, 16, NULL), OYEZ_ERR_ARGUMENT);
    expect("no publisher", oyez_publisher_offer(NULL, message, 16, NULL), OYEZ_ERR_ARGUMENT);
    expect("no size", oyez_publisher_offer(publisher, message, 16, &unset), OYEZ_ERR_ARGUMENT);
    expect("too long", oyez_publisher_claim(publisher, (size_t)-1, &bytes), OYEZ_ERR_LENGTH);
    expect("no place for a claim", oyez_publisher_claim(publisher, 16, NULL), OYEZ_ERR_ARGUMENT);
    oyez_part part = {message, SIZE_MAX};
    expect("too long", oyez_publisher_offerv(publisher, &part, 1, NULL), OYEZ_ERR_LENGTH);
    expect("too short", oyez_publisher_offer(publisher, message, 0, NULL), OYEZ_ERR_LENGTH);
    expect("nothing claimed", oyez_publisher_commit(publisher, &published), OYEZ_ERR_NO_CLAIM);
    expect("no ingress", oyez_ingress_offer(NULL, message, 16, NULL), OYEZ_ERR_ARGUMENT);
    expect("no ingress", oyez_ingress_accepted(NULL, NULL), OYEZ_ERR_ARGUMENT);
    expect("no ingress", oyez_ingress_wait(NULL, 1, OYEZ_PUBLISHED, 0, NULL), OYEZ_ERR_ARGUMENT);
    expect("no place for an ingress", oyez_ingress_open(client, "md", 0, "a", NULL, NULL), OYEZ_ERR_ARGUMENT);
    expect("no origin", oyez_ingress_open(client, "md", 0, NULL, NULL, &ingress), OYEZ_ERR_ARGUMENT);
    must("nothing", oyez_ingress_close(NULL));
    expect("no key", oyez_partition_of(NULL, 6, 4), OYEZ_ERR_ARGUMENT);
    must("an empty key", oyez_partition_of(NULL, 0, 4));
    expect("not kept", oyez_publisher_wait(publisher, 0, OYEZ_DURABLE, 0), OYEZ_ERR_NOT_KEPT);
    expect("no durability", oyez_publisher_wait(publisher, 0, 3, 0), OYEZ_ERR_ARGUMENT);
    /* None of these has published anything. */
    must("offer", oyez_publisher_offer(publisher, message, 16, &published));
    must("offer", oyez_publisher_offer(publisher, message, 16, &larger.known));
    oyez_publisher_counts counts = {.struct_size = sizeof counts};
    must("counts", oyez_publisher_stats(publisher, &counts));
    if (counts.messages != 2 || counts.refused != 2)
        fail("messages that were too long and too short", (int32_t)counts.refused, 2);
    if (published.sequence != 0 || larger.known.sequence != 1 || larger.known.struct_size != sizeof larger ||
        larger.from_the_future != 42)
        fail("published", (int32_t)larger.known.sequence, 1);

    expect("no topics", oyez_subscriber_open(client, NULL, 0, NULL, &subscriber), OYEZ_ERR_ARGUMENT);
    expect("a reserved field", oyez_subscriber_open(client, &reserved, 1, NULL, &subscriber), OYEZ_ERR_ARGUMENT);
    reserved.reserved = 0;
    expect("no such memory", oyez_subscriber_open(client, &reserved, 1, &large, &subscriber), OYEZ_ERR_ARGUMENT);
    expect("no start", open_subscriber(client, "md", 9, 0, 0, 0, &subscriber), OYEZ_ERR_ARGUMENT);
    expect("not kept", open_subscriber(client, "md", 0, 0, 0, OYEZ_WRITTEN, &subscriber), OYEZ_ERR_NOT_KEPT);
    expect("an unknown epoch", open_subscriber(client, "md", OYEZ_START_RESUME, 9, 0, 0, &second), OYEZ_ERR_UNKNOWN_EPOCH);
    must("subscriber", open_subscriber(client, "md", OYEZ_START_EARLIEST, 0, 0, 0, &subscriber));
    must("subscriber", open_subscriber(client, "md", OYEZ_START_SEQUENCE, 0, 9, 0, &second));
    struct reentered reentered = {subscriber, 0, 0, 1};
    int32_t code;
    while ((code = oyez_subscriber_poll(second, reenter, &reentered, 1)) >= 0)
        ;
    expect("ahead", code, OYEZ_ERR_AHEAD);
    expect("no handler", oyez_subscriber_poll(subscriber, NULL, NULL, 1), OYEZ_ERR_ARGUMENT);
    expect("a crooked array", oyez_subscriber_next_batch(subscriber, events, 2), OYEZ_ERR_ARGUMENT);
    expect("no such topic", oyez_subscriber_seek(subscriber, 1, 0, 0, 0), OYEZ_ERR_ARGUMENT);
    expect("no verdict", oyez_subscriber_poll_controlled(subscriber, nonsense, NULL, 1), OYEZ_ERR_ARGUMENT);
    must("poll", oyez_subscriber_poll(subscriber, reenter, &reentered, 1));
    expect("closing in a handler", reentered.close, OYEZ_ERR_IN_HANDLER);
    if (reentered.poll != OYEZ_ERR_IN_HANDLER || reentered.stats != OYEZ_OK || reentered.subscriber != subscriber)
        fail("polling in a handler", reentered.poll, OYEZ_ERR_IN_HANDLER);

    /* The client may go first: what was opened on it goes on. */
    must("client", oyez_client_close(&client));
    must("client again", oyez_client_close(&client));
    must("offer", oyez_publisher_offer(publisher, message, 16, NULL));
    must("publisher", oyez_publisher_close(&publisher));
    must("publisher again", oyez_publisher_close(&publisher));
    must("subscriber", oyez_subscriber_close(&subscriber));
    must("subscriber", oyez_subscriber_close(&second));
    must("nothing", oyez_subscriber_close(NULL));
}

// The sanitizer's own allocator may stay locked in the child of a program with threads.
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* A child has the handles, and none of them does anything; the parent notices nothing. */
static void forks(const char *socket) {
    const uint8_t message[16] = {8, 0, 1, 0, 1, 0, 0, 0};
    oyez_client *client = open_client("socket", socket);
    oyez_publisher *publisher = NULL;
    oyez_topic_info info = {.struct_size = sizeof info};
    must("publisher", open_publisher(client, "forked", &publisher));
    oyez_subscriber *subscriber = NULL;
    oyez_subscription topic = {.struct_size = sizeof topic, .topic = "forked"};
    must("subscriber", oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));
    oyez_event event = {.struct_size = sizeof event};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        expect("publishing in a child", oyez_publisher_offer(publisher, message, sizeof message, NULL), OYEZ_ERR_FORKED);
        expect("asking in a child", oyez_client_describe(client, "forked", 0, &info), OYEZ_ERR_FORKED);
        expect("reading in a child", oyez_subscriber_next_batch(subscriber, &event, 1), OYEZ_ERR_FORKED);
        expect("closing in a child", oyez_subscriber_close(&subscriber), OYEZ_ERR_FORKED);
        expect("closing in a child", oyez_publisher_close(&publisher), OYEZ_ERR_FORKED);
        expect("closing in a child", oyez_client_close(&client), OYEZ_ERR_FORKED);
        oyez_client *own = open_client("socket", socket);
        must("a client of its own", oyez_client_describe(own, "md", 0, &info));
        must("close", oyez_client_close(&own));
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("the child", status, 0);
    must("publishing in the parent", oyez_publisher_offer(publisher, message, sizeof message, NULL));
    must("close", oyez_subscriber_close(&subscriber));
    must("close", oyez_publisher_close(&publisher));
    must("close", oyez_client_close(&client));
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    configurations();
    nobody_accepts(argv[1]);
    arguments();
    if (!SANITIZED)
        forks(argv[1]);
    oyez_client *client = open_client("socket", argv[1]);
    signals(client);
    broken_brokers(client);
    refusals(client);
    must("close", oyez_client_close(&client));
    return 0;
}
