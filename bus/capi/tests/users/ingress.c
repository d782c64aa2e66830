/* Two of many publishers hand in, and a subscriber sees who: ingress SOCKET, where `many` has the origins a = 1 and b = 7. */

#include <oyez.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define EACH 500u
#define SECOND 1000000000u

static void must(const char *what, int32_t got) {
    char text[512];
    if (got >= 0)
        return;
    oyez_last_error(NULL, text, sizeof text);
    fprintf(stderr, "%s: %d: %s\n", what, got, text);
    exit(1);
}

static void expect(const char *what, int is_so) {
    if (!is_so) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

struct heard {
    uint64_t a, b;
};

static void hear(void *context, const oyez_event *event) {
    struct heard *heard = context;
    if (event->kind != OYEZ_EVENT_MESSAGE) {
        expect("an event without a message has no publisher", event->publisher == 0 && event->number == 0);
        return;
    }
    expect("publisher", event->publisher == 1 || event->publisher == 7);
    uint64_t *last = event->publisher == 1 ? &heard->a : &heard->b;
    expect("each one's own order", event->number == ++*last);
}

static oyez_ingress *hand_in(const oyez_client *client, const char *origin, uint64_t behind) {
    uint64_t message[2] = {0, 0}, number = 0;
    oyez_ingress *ingress = NULL;
    oyez_accepted accepted = {.struct_size = sizeof accepted};
    must(origin, oyez_ingress_open(client, "many", 0, origin, NULL, &ingress));
    must("accepted", oyez_ingress_accepted(ingress, &accepted));
    expect("it goes on behind what was accepted", accepted.number == behind);
    for (uint32_t count = 0; count < EACH; ++count) {
        int32_t answer;
        do
            answer = oyez_ingress_offer(ingress, (const uint8_t *)message, sizeof message, &number);
        while (answer == OYEZ_ERR_BACK_PRESSURED);
        must("offer", answer);
    }
    expect("its own numbers", number == behind + EACH);
    must("wait", oyez_ingress_wait(ingress, number, OYEZ_DURABLE, 60ull * SECOND, &accepted));
    expect("where it is", accepted.number == number && accepted.position > 0 && accepted.epoch == 1);
    expect("too short", oyez_ingress_offer(ingress, (const uint8_t *)message, 7, NULL) == OYEZ_ERR_LENGTH);
    expect("not in time", oyez_ingress_wait(ingress, number + 1, OYEZ_PUBLISHED, 1000, NULL) == OYEZ_ERR_TIMEOUT);
    return ingress;
}

/* A child has the handle, and it does nothing there; the parent goes on. Not under the sanitizer, whose own allocator may
   stay locked in the child of a program with threads. */
static void in_a_child(oyez_ingress *ingress) {
#ifndef __SANITIZE_ADDRESS__
    const uint8_t message[16] = {0};
    pid_t child = fork();
    if (child == 0) {
        expect("handing in in a child", oyez_ingress_offer(ingress, message, sizeof message, NULL) == OYEZ_ERR_FORKED);
        expect("closing in a child", oyez_ingress_close(&ingress) == OYEZ_ERR_FORKED);
        _exit(0);
    }
    int status = 1;
    expect("the child", waitpid(child, &status, 0) == child && status == 0);
#else
    (void)ingress;
#endif
}

int main(int count, char **arguments) {
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    oyez_subscriber *subscriber = NULL;
    oyez_publisher *publisher = NULL;
    oyez_ingress *other = NULL;
    oyez_subscription topic = {.struct_size = sizeof topic, .topic = "many", .start = OYEZ_START_EARLIEST};
    struct heard heard = {0, 0};
    if (count != 2)
        return 2;
    must("config", oyez_config_new(OYEZ_ABI_VERSION, &config));
    must("socket", oyez_config_set(config, "socket", arguments[1]));
    must("client", oyez_client_open(config, &client));
    oyez_ingress *a = hand_in(client, "a", 0), *b = hand_in(client, "b", 0);
    expect("taken", oyez_ingress_open(client, "many", 0, "a", NULL, &other) == OYEZ_ERR_NOT_GRANTED && !other);
    expect("no name", oyez_ingress_open(client, "many", 0, "c", NULL, &other) == OYEZ_REFUSED_UNKNOWN_ORIGIN);
    expect("not alone", oyez_publisher_open(client, "many", 0, NULL, &publisher) == OYEZ_REFUSED_OTHER_PUBLISHERS);
    must("close", oyez_ingress_close(&a));
    must("closed", oyez_ingress_close(&a));
    a = hand_in(client, "a", EACH);
    in_a_child(a);
    must("subscriber", oyez_subscriber_open(client, &topic, 1, NULL, &subscriber));
    while (heard.a < 2 * EACH || heard.b < EACH)
        must("poll", oyez_subscriber_poll(subscriber, hear, &heard, 100));
    must("close", oyez_ingress_close(&a));
    must("close", oyez_ingress_close(&b));
    must("close", oyez_subscriber_close(&subscriber));
    must("close", oyez_client_close(&client));
    must("free", oyez_config_free(&config));
    printf("a %llu, b %llu\n", (unsigned long long)heard.a, (unsigned long long)heard.b);
    return 0;
}
