/* Publishes COUNT messages and waits until the last of them is durable: publish SOCKET TOPIC COUNT */

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
    fprintf(stderr, "publish: %s\n", text);
    exit(1);
}

/* SBE message header, and a number as the body; a generated codec would do this. */
static void encode(uint8_t *bytes, uint64_t number) {
    const uint16_t header[4] = {sizeof number, 1, 1, 0};
    memcpy(bytes, header, sizeof header);
    memcpy(bytes + sizeof header, &number, sizeof number);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return fprintf(stderr, "publish SOCKET TOPIC COUNT\n"), 2;
    oyez_config *config = NULL;
    oyez_client *client = NULL;
    oyez_publisher *publisher = NULL;
    oyez_publisher_options patient = {.struct_size = sizeof patient, .wait_ns = 60000000000u};
    oyez_published published = {sizeof published, 0, 0, 0, 0};
    check(oyez_config_new(OYEZ_ABI_VERSION, &config));
    check(oyez_config_set(config, "socket", argv[1]));
    check(oyez_client_open(config, &client));
    check(oyez_publisher_open(client, argv[2], 0, &patient, &publisher));

    for (uint64_t number = 0, count = strtoull(argv[3], NULL, 10); number < count; ++number) {
        uint8_t *bytes;
        int32_t answer;
        check(oyez_publisher_claim(publisher, 16, &bytes));
        encode(bytes, number);
        while ((answer = oyez_publisher_commit(publisher, &published)) == OYEZ_ERR_BACK_PRESSURED)
            sched_yield();
        check(answer);
    }
    check(oyez_publisher_wait(publisher, published.position, OYEZ_DURABLE, 60000000000u));
    printf("published up to message %llu, durable\n", (unsigned long long)published.sequence);

    check(oyez_publisher_close(&publisher));
    check(oyez_client_close(&client));
    check(oyez_config_free(&config));
    return 0;
}
