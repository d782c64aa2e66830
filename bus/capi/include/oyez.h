/*
 * Oyez, the bus: its C ABI, for C99 and for C++. Made by cbindgen of the library's source; do not edit.
 *
 * RESULTS. A function that returns int32_t gives OYEZ_OK or a count, or else one of the negative codes below. What went
 * wrong is told in full by oyez_last_error, of the calling thread. A number given out here keeps its meaning for ever.
 *
 * PROMISES OF THE CALLER, for every function. A pointer is NULL, or it points to what its type says: `const char *` to a
 * text in UTF-8 that ends with NUL, a handle to one that is open, a struct to as many bytes as its struct_size says. NULL
 * is OYEZ_ERR_ARGUMENT, but where a function says that it may be. Nothing that is passed in is kept after the call; what
 * is handed out is valid as long as its function says. A handle that was closed must not be used; closing puts NULL in
 * its place, so that closing it twice there does nothing.
 *
 * STRUCTS that begin with struct_size may grow at their end: set it to sizeof, and fill the rest with zeros, before the
 * first call. No other struct ever changes.
 *
 * PROMISES OF THE LIBRARY. It never exits, jumps or unwinds into the caller, and aborts only where the system has no
 * memory left; it prints nothing, installs no handler of signals or of exit, and has no state but that of its handles and
 * the last error of each thread. Signals are the program's: the library's own threads block all. Two clients in one
 * process do not know of each other. A function of publishers or subscribers that says nothing of it allocates nothing,
 * waits for nobody and makes no system call, but to tell an error other than back-pressure.
 *
 * THREADS. Handles may go from thread to thread.
 *
 *   any thread, at any time           oyez_abi_version oyez_version_string oyez_strerror oyez_is_retriable oyez_is_fatal
 *                                     oyez_last_error oyez_config_new oyez_partition_of
 *   any thread while it is open       oyez_client_describe oyez_publisher_open oyez_ingress_open oyez_subscriber_open
 *                                     oyez_publisher_stats oyez_subscriber_stats
 *   one thread at a time per handle   oyez_config_set oyez_config_get oyez_config_load_file oyez_config_dump
 *                                     oyez_client_open
 *                                     oyez_publisher_claim oyez_publisher_commit oyez_publisher_abort
 *                                     oyez_publisher_offer oyez_publisher_offerv oyez_publisher_position
 *                                     oyez_publisher_wait oyez_publisher_next_sequence
 *                                     oyez_ingress_offer oyez_ingress_accepted oyez_ingress_wait
 *                                     oyez_subscriber_failed oyez_subscriber_poll oyez_subscriber_poll_controlled
 *                                     oyez_subscriber_next_batch
 *                                     oyez_subscriber_wait oyez_subscriber_fd oyez_subscriber_arm
 *                                     oyez_subscriber_seek oyez_subscriber_progress oyez_subscriber_lag
 *   no other call meanwhile or after  oyez_config_free oyez_client_close oyez_publisher_close oyez_ingress_close
 *                                     oyez_subscriber_close
 *
 * FORK. The child of a fork has the parent's handles, but not what is behind them: each call for one is OYEZ_ERR_FORKED
 * there, closing too. Configurations go on. Open a client in the child; the parent notices nothing.
 */


#ifndef OYEZ_H
#define OYEZ_H

#include <stddef.h>
#include <stdint.h>

/// The revision of the ABI that this header describes: one more with each addition. A library serves the headers of its
/// own revision and of all earlier ones with the same SONAME.
#define OYEZ_ABI_VERSION 1

/// Done.
#define OYEZ_OK 0

/// The library is broken. It goes on, but close the handle; please report the text.
#define OYEZ_ERR_INTERNAL -1

/// An argument is NULL, no UTF-8, too small a struct, or not one of its constants.
#define OYEZ_ERR_ARGUMENT -2

/// The library is older than the header.
#define OYEZ_ERR_ABI -3

/// The handle was opened before a fork, in the parent process.
#define OYEZ_ERR_FORKED -4

/// A call on a subscriber from within its own handler.
#define OYEZ_ERR_IN_HANDLER -5

/// An unknown key, or a value that is none for it.
#define OYEZ_ERR_CONFIG -6

/// Nobody listens there, or the broker is away.
#define OYEZ_ERR_NOT_CONNECTED -7

/// No answer in time, or a durability was not reached in time.
#define OYEZ_ERR_TIMEOUT -8

/// The broker speaks otherwise: the two are of different builds.
#define OYEZ_ERR_PROTOCOL -9

/// The broker handed out memory that cannot be trusted.
#define OYEZ_ERR_MEMORY -10

/// The kernel refused a step.
#define OYEZ_ERR_SYSTEM -11

/// The recorder is a whole ring behind; nothing was published.
#define OYEZ_ERR_BACK_PRESSURED -12

/// The partition has another owner.
#define OYEZ_ERR_NOT_GRANTED -13

/// A message too short or too long.
#define OYEZ_ERR_LENGTH -14

/// The catalog does not allow that message here: another schema, version or template.
#define OYEZ_ERR_MISFIT -15

/// Nothing is claimed: it was committed or aborted before.
#define OYEZ_ERR_NO_CLAIM -16

/// The topic keeps no such durability.
#define OYEZ_ERR_NOT_KEPT -17

/// The broker is stopping, and has ended the publisher's epoch.
#define OYEZ_ERR_CLOSED -18

/// The epoch is no longer the publisher's.
#define OYEZ_ERR_LOST -19

/// The journal failed, and with it the publisher's epoch: only what is durable is safe.
#define OYEZ_ERR_JOURNAL_FAILED -20

/// The topic cannot be read any more.
#define OYEZ_ERR_UNREADABLE -21

/// The start asks for a message that nobody has published.
#define OYEZ_ERR_AHEAD -22

/// The start names an epoch that never was.
#define OYEZ_ERR_UNKNOWN_EPOCH -23

/// A frame that no honest publisher makes.
#define OYEZ_ERR_INVALID_FRAME -24

/// The journal cannot be read there.
#define OYEZ_ERR_JOURNAL_READ -25

/// The broker says no, as do the codes below: the request was no message of its protocol.
#define OYEZ_REFUSED_BAD_MESSAGE -101

/// The broker does not speak this version.
#define OYEZ_REFUSED_VERSION -102

/// The catalog declares no such topic. No topic is ever created by a client.
#define OYEZ_REFUSED_UNKNOWN_TOPIC -103

/// The topic has fewer partitions.
#define OYEZ_REFUSED_UNKNOWN_PARTITION -104

/// The catalog does not let this user publish here.
#define OYEZ_REFUSED_PUBLISH_DENIED -105

/// The catalog does not let this user subscribe here.
#define OYEZ_REFUSED_SUBSCRIBE_DENIED -106

/// As many connections as the catalog allows.
#define OYEZ_REFUSED_CONNECTION_LIMIT -107

/// As many subscriptions on one connection as the catalog allows.
#define OYEZ_REFUSED_SUBSCRIPTION_LIMIT -108

/// The epoch is not this connection's.
#define OYEZ_REFUSED_NOT_OWNER -109

/// The epoch has ended.
#define OYEZ_REFUSED_EPOCH_ENDED -110

/// The journal does not hold that position.
#define OYEZ_REFUSED_NOT_IN_JOURNAL -111

/// The topic has no journal.
#define OYEZ_REFUSED_NOT_RECORDED -112

/// The topic's journal failed: it takes nothing more.
#define OYEZ_REFUSED_JOURNAL_FAILED -113

/// The broker is stopping.
#define OYEZ_REFUSED_CLOSING -114

/// The broker has no memory for a ring.
#define OYEZ_REFUSED_NO_MEMORY -115

/// The broker has no descriptor left.
#define OYEZ_REFUSED_NO_DESCRIPTOR -116

/// Something failed at the broker; its log says why.
#define OYEZ_REFUSED_BROKER -117

/// The topic has no schema.
#define OYEZ_REFUSED_NO_SCHEMA -118

/// As many unanswered requests as one connection may have.
#define OYEZ_REFUSED_TOO_MANY_REQUESTS -119

/// The owner is not to be killed, or cannot be.
#define OYEZ_REFUSED_TAKE_OVER_DENIED -120

/// Nobody would go on in the owner's place.
#define OYEZ_REFUSED_NO_STANDBY -121

/// The catalog names no such publisher of the topic.
#define OYEZ_REFUSED_UNKNOWN_ORIGIN -122

/// The topic has many publishers, and none was named; or one at a time, and one was.
#define OYEZ_REFUSED_OTHER_PUBLISHERS -123

/// Only the broker's own user and root may have an owner renew its epoch; no call of this library asks for that.
#define OYEZ_REFUSED_RENEW_DENIED -124

/// The owner has not renewed its epoch; as above.
#define OYEZ_REFUSED_NOT_RENEWED -125

/// In shared memory: it outlives the publisher and the broker, not the machine.
#define OYEZ_PUBLISHED 0

/// Taken by kernel or device, not flushed.
#define OYEZ_WRITTEN 1

/// Flushed and confirmed. Only this may be called safe.
#define OYEZ_DURABLE 2

/// With the first message published after the call returned, or shortly before.
#define OYEZ_START_LIVE 0

/// With the oldest message that is still to be had.
#define OYEZ_START_EARLIEST 1

/// With the message of that sequence. Older than retention: a gap comes first. Beyond the next one: OYEZ_ERR_AHEAD.
#define OYEZ_START_SEQUENCE 2

/// With the message of that sequence as counted in that epoch, which is that of the last message taken: where a later
/// epoch has taken it back, OYEZ_EVENT_REWOUND comes first.
#define OYEZ_START_RESUME 3

/// With the first message published at or after that time, ns since 1970 UTC.
#define OYEZ_START_TIME 4

/// A message.
#define OYEZ_EVENT_MESSAGE 0

/// The next epoch begins, with `sequence` at `position`; the one before was read to its end.
#define OYEZ_EVENT_EPOCH 1

/// The ring has gone past `sequence`, which is wanted next. In a recorded topic nothing is lost: the journal is read from
/// here on, until OYEZ_EVENT_CAUGHT_UP. In another one a gap follows.
#define OYEZ_EVENT_LAPPED 2

/// Reads live from here on, and `sequence` comes next. Once after every start, and once after every OYEZ_EVENT_LAPPED.
#define OYEZ_EVENT_CAUGHT_UP 3

/// The messages from `sequence` up to, but not including, `to_sequence` are not to be had; `cause` says why.
#define OYEZ_EVENT_GAP 4

/// After a power cut the partition was rolled back: the messages from `to_sequence` up to, but not including, `sequence`
/// never happened, where they were seen, and their numbers are given again.
#define OYEZ_EVENT_REWOUND 5

/// Overwritten in the ring of a topic that is not recorded.
#define OYEZ_GAP_LAPPED 1

/// Older than what the journal keeps.
#define OYEZ_GAP_RETENTION 2

/// Damaged on disk; the broker's report names the remedy.
#define OYEZ_GAP_CORRUPT 3

/// Never recorded, or gone with the memory of an epoch that was not recorded.
#define OYEZ_GAP_LOST 4

/// The event is taken: on with the next.
#define OYEZ_CONTINUE 0

/// The event is taken, and enough for this poll.
#define OYEZ_BREAK 1

/// The event is not taken: the next call begins with it.
#define OYEZ_ABORT 2

/// Instead of a partition: all that the topic has, as if each had a subscription of its own, in ascending order. No start at
/// a sequence then, which each counts for itself.
#define OYEZ_ALL_PARTITIONS 65535

/// A connection to a broker, or a bus within this process. Any threads may use it at the same time, but for closing it.
///
/// One thread of the library's own stands behind a connection; it notices when the broker goes away, and connects again
/// when it is back. It calls nobody back, and no message waits for it. It has the affinity and the scheduling of the
/// thread that opened the client.
typedef struct oyez_client oyez_client;

/// How to open a client: made by `oyez_config_new`. One thread's at a time.
///
/// | key | meaning | unless set |
/// |---|---|---|
/// | `socket` | path of the broker's Unix socket | none |
/// | `name` | what this process is called in the broker's reports | the program's name |
/// | `timeout_ms` | how long one request to the broker may take, connecting included | 5000 |
/// | `in_process` | instead of `socket`: names of topics, with commas, of a bus within this process, for unit tests; `NAME:4` has four partitions | none |
typedef struct oyez_config oyez_config;

/// One of many publishers of a topic, under a name that the catalog gives a number. One thread's at a time.
///
/// What it hands in goes through a ring of its own to the broker, which puts it in order with what the others hand in.
/// After the broker's death whatever call comes next sends again what was not accepted: nothing is lost or there twice.
typedef struct oyez_ingress oyez_ingress;

/// The owner of one partition, which alone writes it. One thread's at a time.
///
/// Publishing makes no system call, takes no lock and allocates nothing (but see `oyez_publisher_claim`), and its cost does
/// not depend on the number of subscribers. A publisher goes on while the broker is away, as far as the ring is deep.
typedef struct oyez_publisher oyez_publisher;

/// Reads one topic or many, each in order. One thread's at a time. No publisher and no other subscriber notices it, and
/// none waits for it: one that falls behind reads on from the journal, where the topic is recorded, and loses nothing.
/// One that is stopped, for as long as may be, goes on where it was: no heartbeat keeps it alive.
typedef struct oyez_subscriber oyez_subscriber;

/// A topic as it is declared and as it stands. Set `struct_size` before the call.
typedef struct oyez_topic_info {
    /// sizeof(oyez_topic_info).
    uint32_t struct_size;
    /// The highest durability that the topic keeps: OYEZ_PUBLISHED where it is not recorded.
    int32_t durability;
    /// Bytes of a ring.
    uint64_t ring_bytes;
    /// The longest message, SBE message header included: a quarter of a ring.
    uint64_t message_bytes_max;
    /// Of the partition that was asked for, as all that follows of one: the lowest position that the journal has; 0 where there is none.
    uint64_t earliest;
    /// Everything below is written.
    uint64_t written;
    /// Everything below is durable.
    uint64_t durable;
    /// Hours that the journal keeps; 0 where the topic is not recorded.
    uint32_t retention_h;
    /// Process that owns the partition; 0 for none.
    uint32_t owner_pid;
    /// Its user.
    uint32_t owner_uid;
    /// How many partitions the topic has.
    uint16_t partitions;
    /// Id of the schema that its messages are bound to; 65535, SBE's null, without one: then any may be published.
    uint16_t schema_id;
    /// Lowest version of the schema that may be published.
    uint16_t schema_version_min;
    /// Highest version of the schema that may be published.
    uint16_t schema_version_max;
    /// 1 where this process may publish, else 0.
    int32_t may_publish;
    /// 1 where this process may subscribe, else 0.
    int32_t may_subscribe;
    /// Name of the schema in the catalog; empty without one.
    char schema[104];
    /// What the partition's owner calls itself, cut where it is longer.
    char owner[104];
    /// One word on the partition, such as `idle` or `owned`.
    char state[36];
} oyez_topic_info;

/// How to open a publisher. Set `struct_size` and whatever shall not be 0.
typedef struct oyez_publisher_options {
    /// sizeof(oyez_publisher_options).
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// How long to wait while the partition has another owner, or the broker is away; 0: not at all. Those who wait come in
    /// the order of arrival; the first, with its ring mapped already, where the catalog says `standbys`.
    uint64_t wait_ns;
} oyez_publisher_options;

/// How far the broker has taken what was handed in under a name. Set `struct_size` before the call.
typedef struct oyez_accepted {
    /// sizeof(oyez_accepted).
    uint32_t struct_size;
    /// The epoch that the message was published in; of one taken before the broker's present life, that of the present one.
    uint32_t epoch;
    /// The publisher's own number of the last message taken, 0 before the first: all up to it are published.
    uint64_t number;
    /// Its number in the partition; of one taken before this handle was opened, or the broker back, one above it.
    uint64_t sequence;
    /// Where it ends: once a durability has reached this, it has. Of one taken before, as above, a position above it.
    uint64_t position;
} oyez_accepted;

/// A message that is out. Set `struct_size` before the call.
typedef struct oyez_published {
    /// sizeof(oyez_published).
    uint32_t struct_size;
    /// The epoch it was published in. (epoch, sequence) names it for ever.
    uint32_t epoch;
    /// Its number in the partition.
    uint64_t sequence;
    /// The end of its last frame: once a durability has reached this, the message has.
    uint64_t position;
    /// Its publish time, ns since 1970 UTC.
    uint64_t time_ns;
} oyez_published;

/// A part of a message, as `struct iovec` has it.
typedef struct oyez_part {
    /// Its bytes.
    const uint8_t *bytes;
    /// How many.
    size_t len_bytes;
} oyez_part;

/// What a publisher did since it was opened. Set `struct_size` before the call.
typedef struct oyez_publisher_counts {
    /// sizeof(oyez_publisher_counts).
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// Messages that went out.
    uint64_t messages;
    /// Their bytes, without frame headers.
    uint64_t message_bytes;
    /// How often nothing was published for OYEZ_ERR_BACK_PRESSURED.
    uint64_t back_pressured;
    /// How often nothing was published for another reason.
    uint64_t refused;
} oyez_publisher_counts;

/// Something that happened in one of a subscriber's topics. Within a topic events come in order, and every message comes
/// exactly once, or an event says with exact bounds what is missing; between topics there is no order. Fields that mean
/// nothing for a kind are 0.
typedef struct oyez_event {
    /// Bytes of this struct.
    uint32_t struct_size;
    /// One of OYEZ_EVENT_…; pass over what you do not know.
    int32_t kind;
    /// Which subscription: counts those given to `oyez_subscriber_open`, from 0, OYEZ_ALL_PARTITIONS as many.
    uint32_t topic;
    /// The epoch of the message, or the one that begins. (epoch, sequence) names a message for ever.
    uint32_t epoch;
    /// The number of the message in its partition; else what was to come next.
    uint64_t sequence;
    /// The end of a gap, or where a rewound partition goes on.
    uint64_t to_sequence;
    /// The end of the message's frame, as `oyez_published` has it; or where the epoch starts.
    uint64_t position;
    /// Publish time, ns since 1970 UTC; never less than that of the message before.
    uint64_t time_ns;
    /// SBE message header and body, in memory of the subscriber's own.
    const uint8_t *bytes;
    /// How many bytes.
    size_t len_bytes;
    /// The partition.
    uint16_t partition;
    /// Schema id in the SBE message header.
    uint16_t schema_id;
    /// Template id in the SBE message header.
    uint16_t template_id;
    /// Schema version in the SBE message header.
    uint16_t schema_version;
    /// One of OYEZ_GAP_….
    int32_t cause;
    /// 0.
    uint32_t reserved;
    /// Where the topic has many publishers, that publisher's own number of the message.
    uint64_t number;
    /// Where the topic has many publishers, the publisher's number in the catalog; else 0.
    uint32_t publisher;
    /// 0.
    uint32_t reserved_2;
} oyez_event;

/// Called for an event. `context` is what was passed to the poll; `event` and what it points to are valid until the handler
/// returns. It must not throw, nor jump out, nor call for the same subscriber, nor return in the child of a fork.
typedef void (*oyez_handler)(void *context, const struct oyez_event *event);

/// As `oyez_handler`, and returns what to do next: one of OYEZ_CONTINUE, OYEZ_BREAK, OYEZ_ABORT.
typedef int32_t (*oyez_controlled_handler)(void *context, const struct oyez_event *event);

/// One topic to be read. Set `struct_size`, the same in all of an array, and whatever shall not be 0: partition 0, live.
typedef struct oyez_subscription {
    /// sizeof(oyez_subscription).
    uint32_t struct_size;
    /// One of OYEZ_START_….
    int32_t start;
    /// The topic's name; it is copied.
    const char *topic;
    /// The sequence or time to start at, where the kind of start asks for one.
    uint64_t start_at;
    /// The epoch, for OYEZ_START_RESUME.
    uint32_t start_epoch;
    /// The partition, or OYEZ_ALL_PARTITIONS.
    uint16_t partition;
    /// 0.
    uint16_t reserved;
} oyez_subscription;

/// How to open a subscriber. Set `struct_size` and whatever shall not be 0.
typedef struct oyez_subscriber_options {
    /// sizeof(oyez_subscriber_options).
    uint32_t struct_size;
    /// Nothing is given that has not come so far: one of OYEZ_PUBLISHED, which gives everything at once, OYEZ_WRITTEN,
    /// OYEZ_DURABLE.
    int32_t durability;
    /// Bytes of messages in a batch, allocated when the subscriber is opened; 0: 1 MiB. A batch ends with the message that
    /// reaches it; where that is above 4,096 bytes and longer than there is room, it grows.
    uint64_t batch_bytes;
} oyez_subscriber_options;

/// How far one topic was read. Set `struct_size` before the call.
typedef struct oyez_progress {
    /// sizeof(oyez_progress).
    uint32_t struct_size;
    /// The epoch that is being read; 0 before the first.
    uint32_t epoch;
    /// The message that is wanted next. Open with OYEZ_START_RESUME at (epoch, next_sequence) to go on there.
    uint64_t next_sequence;
    /// 1 where `next_sequence` is known; 0 where a start was not reached yet.
    int32_t is_known;
    /// 1 while the topic is read from a ring; 0 while it is read from the journal, and between two places.
    int32_t reads_ring;
} oyez_progress;

/// How far behind the newest message of a topic a subscriber is. Set `struct_size` before the call.
typedef struct oyez_lag {
    /// sizeof(oyez_lag).
    uint32_t struct_size;
    /// 1 where it is known; 0 where a start was not reached yet, or the broker has not told of the newest epoch.
    int32_t is_known;
    /// Messages published and not handed out yet; those that are not to be had any more are among them.
    uint64_t messages;
    /// Publish time of the newest message, ns since 1970 UTC; 0 where its ring is gone. Less the `time_ns` of the message
    /// taken last it is how late that one is.
    uint64_t newest_ns;
} oyez_lag;

/// What a subscriber took since it was opened. Set `struct_size` before the call.
typedef struct oyez_subscriber_counts {
    /// sizeof(oyez_subscriber_counts).
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// Messages.
    uint64_t messages;
    /// Their bytes.
    uint64_t message_bytes;
    /// Events OYEZ_EVENT_GAP.
    uint64_t gaps;
    /// Messages missing in them.
    uint64_t missing;
    /// Events OYEZ_EVENT_LAPPED.
    uint64_t lapped;
    /// Events OYEZ_EVENT_REWOUND.
    uint64_t rewound;
} oyez_subscriber_counts;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The revision of the ABI that the library has.
uint32_t oyez_abi_version(void);

/// Version and commit of the library, such as "0.1.0 (0123456789ab)"; valid for ever.
const char *oyez_version_string(void);

/// Connects, for at most `timeout_ms`. The configuration may be freed afterwards. Close it with `oyez_client_close`.
int32_t oyez_client_open(const struct oyez_config *config,
                         struct oyez_client **client);

/// Closes a client and puts NULL in its place; nothing for NULL. Publishers and subscribers go on, and the connection with
/// them: it goes with the last of them. Waits for the library's own thread, at most for `timeout_ms`.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
int32_t oyez_client_close(struct oyez_client **client);

/// Fills `info` with what the catalog says of a topic, and how one of its partitions stands. Asks the broker, for at most
/// `timeout_ms`. An unknown topic is OYEZ_REFUSED_UNKNOWN_TOPIC: no topic is ever created by a client.
int32_t oyez_client_describe(const struct oyez_client *client,
                             const char *topic,
                             uint16_t partition,
                             struct oyez_topic_info *info);

/// The partition of a key, in a topic of so many `partitions` (`oyez_client_describe` tells): XXH64 with seed 0 of its bytes,
/// modulo `partitions`. The same for every publisher, in every language, for ever. OYEZ_ERR_ARGUMENT where there are none.
/// Allocates nothing, waits for nobody and makes no system call. A publisher by key opens each partition, or those that
/// it shall own, and publishes with the publisher of the key's.
int32_t oyez_partition_of(const uint8_t *key,
                          size_t len_bytes,
                          uint16_t partitions);

/// A configuration with every key as it is unless set. Pass OYEZ_ABI_VERSION: OYEZ_ERR_ABI says that the library is older
/// than the header that the program was compiled with. Free it with `oyez_config_free`.
int32_t oyez_config_new(uint32_t abi_version,
                        struct oyez_config **config);

/// Sets one key. An unknown key is OYEZ_ERR_CONFIG, and the last error names it and those there are.
int32_t oyez_config_set(struct oyez_config *config, const char *key, const char *value);

/// Writes the value of a key to `value`, at most `capacity` bytes with the NUL. Returns the bytes of all of it without the
/// NUL: `capacity` or more means that it was cut. `value` may be NULL where `capacity` is 0.
int32_t oyez_config_get(const struct oyez_config *config,
                        const char *key,
                        char *value,
                        size_t capacity);

/// Sets every key that a file names, one `key = value` in a line; lines that begin with `#` say nothing.
int32_t oyez_config_load_file(struct oyez_config *config, const char *path);

/// Writes all keys with the values in effect to `text`, as `oyez_config_load_file` reads them; bounds as in
/// `oyez_config_get`.
int32_t oyez_config_dump(const struct oyez_config *config, char *text, size_t capacity);

/// Frees a configuration and puts NULL in its place; nothing for NULL. Clients opened with it go on.
int32_t oyez_config_free(struct oyez_config **config);

/// One line on what a code means and what helps, beginning with its name and a colon; valid for ever. Any code will do.
const char *oyez_strerror(int32_t code);

/// 1 where the same call may succeed later, with nothing changed here; else 0.
int32_t oyez_is_retriable(int32_t code);

/// 1 where the handle is of no more use: close it and open another; else 0. A code that is neither retriable nor fatal
/// speaks of this call alone: something has to be changed first.
int32_t oyez_is_fatal(int32_t code);

/// What went wrong last in this thread: writes the code to `code`, which may be NULL, and one line of text, naming
/// thing, place and remedy, to `text`, at most `capacity` bytes with the NUL. Returns the bytes of the whole text without
/// the NUL: `capacity` or more means that it was cut. `text` may be NULL where `capacity` is 0. A call that succeeds leaves
/// the last error as it is.
int32_t oyez_last_error(int32_t *code,
                        char *text,
                        size_t capacity);

/// Hands in to a partition under the name `origin` from here on. `options` may be NULL. OYEZ_ERR_NOT_GRANTED says that the
/// name has another session; the last error names whose. Asks the broker, for at most `timeout_ms` and what `options` allow.
/// `oyez_ingress_accepted` then tells what to go on behind. Close it with `oyez_ingress_close`.
int32_t oyez_ingress_open(const struct oyez_client *client,
                          const char *topic,
                          uint16_t partition,
                          const char *origin,
                          const struct oyez_publisher_options *options,
                          struct oyez_ingress **ingress);

/// Closes an ingress and puts NULL in its place; nothing for NULL. Gives the name back, and waits until the broker has said
/// so, at most for `timeout_ms`. OYEZ_ERR_TIMEOUT where not everything is accepted that was handed in: it is left to the
/// broker, and lost where that dies now; `oyez_ingress_wait` first. In a forked child nothing is freed, and the answer is
/// OYEZ_ERR_FORKED.
int32_t oyez_ingress_close(struct oyez_ingress **ingress);

/// Hands in a copy of a message: SBE message header and body, whole or not at all. Puts the publisher's own number of it
/// into `number`, which may be NULL. OYEZ_ERR_BACK_PRESSURED: as much is on its way as the ring takes, nothing was handed
/// in, try again. OYEZ_ERR_LENGTH and OYEZ_ERR_MISFIT: this message is refused, the next may go in. A fatal code: nothing
/// is taken any more, close the ingress.
int32_t oyez_ingress_offer(struct oyez_ingress *ingress,
                           const uint8_t *message,
                           size_t len_bytes,
                           uint64_t *number);

/// Fills `accepted`: how far the broker has taken what was handed in, by this handle or before it. Asks nobody.
int32_t oyez_ingress_accepted(struct oyez_ingress *ingress,
                              struct oyez_accepted *accepted);

/// Waits until the message of this number is accepted, and has come so far as `durability`. Fills `accepted`, which may be
/// NULL, with how far the broker had taken everything when it had accepted that one. Sleeps, ever longer, up to a
/// millisecond at a time. OYEZ_ERR_TIMEOUT: not within `timeout_ns`; it may yet.
int32_t oyez_ingress_wait(struct oyez_ingress *ingress,
                          uint64_t number,
                          int32_t durability,
                          uint64_t timeout_ns,
                          struct oyez_accepted *accepted);

/// Becomes the owner of a partition. `options` may be NULL. OYEZ_ERR_NOT_GRANTED says that it has another owner; the last
/// error names it. Asks the broker, for at most `timeout_ms` and what `options` allow. Close it with
/// `oyez_publisher_close`.
int32_t oyez_publisher_open(const struct oyez_client *client,
                            const char *topic,
                            uint16_t partition,
                            const struct oyez_publisher_options *options,
                            struct oyez_publisher **publisher);

/// Closes a publisher and puts NULL in its place; nothing for NULL. Ends its epoch, and waits until the broker has said so,
/// at most for `timeout_ms`: after an error the epoch ends all the same, as soon as it can. A claim is aborted.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
int32_t oyez_publisher_close(struct oyez_publisher **publisher);

/// Puts into `bytes` the publisher's own memory for a message of `len_bytes`, aligned to 8, to be filled in place and then
/// committed. The memory is valid until the claim is committed or aborted, or the publisher closed; it holds what was
/// written there last. After an error `bytes` is NULL. Another claim replaces the first. An abandoned claim costs nothing and leaves nothing. The first claim
/// above 4,096 bytes, and each that is longer than all before, allocates once.
int32_t oyez_publisher_claim(struct oyez_publisher *publisher,
                             size_t len_bytes,
                             uint8_t **bytes);

/// Publishes what was claimed. `published` may be NULL. After OYEZ_OK the claim is used up, and another commit is
/// OYEZ_ERR_NO_CLAIM; after an error it is still there, to be mended and committed again.
int32_t oyez_publisher_commit(struct oyez_publisher *publisher,
                              struct oyez_published *published);

/// Gives a claim up: nothing is published.
int32_t oyez_publisher_abort(struct oyez_publisher *publisher);

/// Publishes a copy of a message: SBE message header and body, whole or not at all. `published` may be NULL.
/// OYEZ_ERR_BACK_PRESSURED: nothing was published, try again. OYEZ_ERR_LENGTH and OYEZ_ERR_MISFIT: this message is refused, the next may go out. A fatal
/// code: the epoch is over, close the publisher.
int32_t oyez_publisher_offer(struct oyez_publisher *publisher,
                             const uint8_t *message,
                             size_t len_bytes,
                             struct oyez_published *published);

/// As `oyez_publisher_offer`, of `count` parts one behind the other. A claim is aborted, and no part may lie in its memory.
/// Allocates as a claim does.
int32_t oyez_publisher_offerv(struct oyez_publisher *publisher,
                              const struct oyez_part *parts,
                              size_t count,
                              struct oyez_published *published);

/// Puts into `position` up to where the partition has come so far as `durability`: one of OYEZ_PUBLISHED, OYEZ_WRITTEN,
/// OYEZ_DURABLE. Asks nobody. A topic that keeps less is OYEZ_ERR_NOT_KEPT.
int32_t oyez_publisher_position(struct oyez_publisher *publisher,
                                int32_t durability,
                                uint64_t *position);

/// Waits until everything below `position`, such as that of an `oyez_published`, has come so far as `durability`. Sleeps,
/// ever longer, up to a millisecond at a time. OYEZ_ERR_TIMEOUT: not within `timeout_ns`; it may yet.
int32_t oyez_publisher_wait(struct oyez_publisher *publisher,
                            uint64_t position,
                            int32_t durability,
                            uint64_t timeout_ns);

/// Puts into `sequence` the number that the next message gets.
int32_t oyez_publisher_next_sequence(struct oyez_publisher *publisher, uint64_t *sequence);

/// Fills `counts`. Any thread may call it, also while the publisher's own publishes; a handful of loads.
int32_t oyez_publisher_stats(const struct oyez_publisher *publisher, struct oyez_publisher_counts *counts);

/// Gives up to `limit` events to the handler, of the topics in turn, and returns how many; 0 when nothing is there now. A
/// message above 4,096 bytes is the last of its poll, and the next poll begins with the next topic.
/// Waits for nobody. Allocates nothing and makes no system call while it reads from rings, but for blocks that it enters
/// anew after an event, for the first message above 4,096 bytes, and for each that is longer than all before; reading from
/// the journal reads its files.
///
/// An error is of one topic, which cannot be read on: `oyez_subscriber_failed` tells which. Where it was found behind events,
/// these are the answer, and the error is that of the next poll or batch, before any other event. The other topics go on:
/// after an error poll again. The same error comes again with each round of the topics, until `oyez_subscriber_seek` or
/// what the error's text names mends it.
int32_t oyez_subscriber_poll(struct oyez_subscriber *subscriber,
                             oyez_handler handler,
                             void *context,
                             size_t limit);

/// As `oyez_subscriber_poll`, but the handler says after each event whether to go on. Messages are copied once more.
int32_t oyez_subscriber_poll_controlled(struct oyez_subscriber *subscriber,
                                        oyez_controlled_handler handler,
                                        void *context,
                                        size_t limit);

/// Writes up to `capacity` events, at most 1,024, to `events` and returns how many; 0 when nothing is there now. Set
/// `struct_size` of the first event: the array has steps of it. The bytes of all messages stand one behind the other, in
/// order, in memory of the subscriber's own, and are valid until the next call for this subscriber. Waits, allocates and
/// fails as `oyez_subscriber_poll` does, and allocates for a message above 4,096 bytes that `batch_bytes` has no room for.
int32_t oyez_subscriber_next_batch(struct oyez_subscriber *subscriber,
                                   struct oyez_event *events,
                                   size_t capacity);

/// Sleeps until a poll may bring something, at most `timeout_ns`: 1 where it may, 0 where that time is over. Now and then a
/// poll brings nothing all the same. The wake-up is late by at most `wake_max_us` of the broker's catalog; on a bus within
/// the process, and while the broker is away, by a millisecond. Poll until nothing comes, then wait. Makes some system
/// calls; the publisher makes none for it.
int32_t oyez_subscriber_wait(struct oyez_subscriber *subscriber,
                             uint64_t timeout_ns);

/// One descriptor for all topics, which stays the subscriber's own: readable when a poll may bring something, from one
/// `oyez_subscriber_arm` to the next. It fits into poll, epoll, and every loop over them; do nothing else with it. It is
/// made with the first call of this, of `oyez_subscriber_arm` or of `oyez_subscriber_wait`.
int32_t oyez_subscriber_fd(struct oyez_subscriber *subscriber);

/// Before each sleep on the descriptor of `oyez_subscriber_fd`: silences it, and asks for it to become readable when a poll
/// may bring something. 1: poll now, and do not sleep; else 0. Makes some system calls.
int32_t oyez_subscriber_arm(struct oyez_subscriber *subscriber);

/// Finds the starts; what is published after it returns is delivered. `options` may be NULL. Asks the broker, for at most
/// `timeout_ms` a topic. Close it with `oyez_subscriber_close`.
int32_t oyez_subscriber_open(const struct oyez_client *client,
                             const struct oyez_subscription *subscriptions,
                             size_t count,
                             const struct oyez_subscriber_options *options,
                             struct oyez_subscriber **subscriber);

/// Closes a subscriber and puts NULL in its place; nothing for NULL. Waits only where it is the last of its connection, as
/// closing a client does.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
int32_t oyez_subscriber_close(struct oyez_subscriber **subscriber);

/// Goes elsewhere in one topic, back or ahead; events of it that were not handed out are forgotten. `start`, `epoch` and
/// `at` are those of an `oyez_subscription`. Asks the broker, for at most `timeout_ms`. After an error other than
/// OYEZ_ERR_ARGUMENT the topic is nowhere, and what polls give of it means nothing: seek again.
int32_t oyez_subscriber_seek(struct oyez_subscriber *subscriber,
                             uint32_t topic,
                             int32_t start,
                             uint32_t epoch,
                             uint64_t at);

/// Puts into `topic` the index of the subscription that the last error of a poll or batch speaks of, and returns 1; 0 where
/// there was none, or `oyez_subscriber_seek` went elsewhere in that topic since.
int32_t oyez_subscriber_failed(struct oyez_subscriber *subscriber,
                               uint32_t *topic);

/// Fills `progress` with how far one topic was read: what is not handed out yet counts as not read.
int32_t oyez_subscriber_progress(struct oyez_subscriber *subscriber,
                                 uint32_t topic,
                                 struct oyez_progress *progress);

/// Fills `lag` with how far behind one topic's newest message the subscriber is. Reads up to 64 KiB of the ring, and
/// what is out of a message that goes on there, allocates, and takes a lock that the library's thread takes too: for every
/// second, not for every message.
int32_t oyez_subscriber_lag(struct oyez_subscriber *subscriber,
                            uint32_t topic,
                            struct oyez_lag *lag);

/// Fills `counts`. Any thread may call it, also while the subscriber's own polls; a handful of loads.
int32_t oyez_subscriber_stats(const struct oyez_subscriber *subscriber,
                              struct oyez_subscriber_counts *counts);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OYEZ_H */
