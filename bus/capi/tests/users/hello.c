#include <oyez.h>

#include <stdio.h>

static void hear(void *context, const oyez_event *event) {
    (void)context;
    if (event->kind == OYEZ_EVENT_MESSAGE)
        printf("message %d: %.*s\n", (int)event->sequence, (int)event->len_bytes, (const char *)event->bytes);
}

int main(void) {
    oyez_config *config;
    oyez_client *client;
    oyez_publisher *publisher;
    oyez_subscriber *subscriber;
    oyez_subscription topic = {.struct_size = sizeof topic, .topic = "greetings"};
    if (oyez_abi_version() != OYEZ_ABI_VERSION || oyez_config_new(OYEZ_ABI_VERSION, &config) ||
        oyez_config_set(config, "in_process", "greetings") || oyez_client_open(config, &client) ||
        oyez_subscriber_open(client, &topic, 1, NULL, &subscriber) ||
        oyez_publisher_open(client, "greetings", 0, NULL, &publisher) ||
        oyez_publisher_offer(publisher, (const uint8_t *)"oyez, oyez, oyez", 16, NULL))
        return 1;
    while (oyez_subscriber_poll(subscriber, hear, NULL, 16) > 0)
        ;
    return oyez_subscriber_close(&subscriber) || oyez_publisher_close(&publisher) || oyez_client_close(&client) ||
           oyez_config_free(&config);
}
