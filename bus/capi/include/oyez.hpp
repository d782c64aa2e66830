/// Oyez for C++17: `oyez.h` with owners, views and exceptions, and nothing beyond it. Header only; link with liboyez.
///
/// What the C functions say of threads, times and lifetimes holds here too. Owners move and do not copy; a moved-from one
/// may only be destroyed or assigned to. Errors are thrown as `oyez::error`, but back-pressure, which is an outcome of
/// publishing.

#ifndef OYEZ_HPP
#define OYEZ_HPP

#include "oyez.h"

#include <chrono>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace oyez {

/// What a call was answered: one of OYEZ_ERR_… or OYEZ_REFUSED_…, with the last error's text.
class error : public std::runtime_error {
public:
    error(int32_t code, const std::string &text) : std::runtime_error(text), code_(code) {}
    int32_t code() const noexcept { return code_; }
    bool is_retriable() const noexcept { return oyez_is_retriable(code_) != 0; }
    bool is_fatal() const noexcept { return oyez_is_fatal(code_) != 0; }

private:
    int32_t code_;
};

/// The text of the calling thread's last error.
inline std::string last_error() {
    std::string text(static_cast<size_t>(oyez_last_error(nullptr, nullptr, 0)) + 1, '\0');
    text.resize(static_cast<size_t>(oyez_last_error(nullptr, &text[0], text.size())));
    return text;
}

/// The answer of a C function, or an exception.
inline int32_t check(int32_t answer) {
    if (answer < 0)
        throw error(answer, last_error());
    return answer;
}

/// A part of a message.
inline oyez_part part(const void *bytes, size_t len_bytes) {
    return {static_cast<const uint8_t *>(bytes), len_bytes};
}

/// The bytes of an event's message, valid as long as the event is.
inline std::string_view bytes(const oyez_event &event) {
    return {reinterpret_cast<const char *>(event.bytes), event.len_bytes};
}

/// A struct of the C header with its size set, and all else 0.
template <typename Struct> Struct sized() {
    Struct value{};
    value.struct_size = sizeof(Struct);
    return value;
}

/// A handle, closed at its end; what closing answers then is lost, so call `close` where it matters.
template <typename Handle, int32_t (*Close)(Handle **)> class owner {
public:
    owner() = default;
    owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    owner &operator=(owner &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~owner() { Close(&handle_); }
    void close() { check(Close(&handle_)); }
    Handle *handle() const { return handle_; }

protected:
    Handle *handle_ = nullptr;
};

/// The keys and values to open a client with.
class config : public owner<oyez_config, oyez_config_free> {
public:
    config(std::initializer_list<std::pair<const char *, std::string>> values = {}) {
        check(oyez_config_new(OYEZ_ABI_VERSION, &handle_));
        for (const auto &[key, value] : values)
            set(key, value);
    }
    void set(const char *key, const std::string &value) { check(oyez_config_set(handle_, key, value.c_str())); }
    void load_file(const std::string &path) { check(oyez_config_load_file(handle_, path.c_str())); }
    std::string get(const char *key) const {
        return text([&](char *out, size_t capacity) { return oyez_config_get(handle_, key, out, capacity); });
    }
    std::string dump() const {
        return text([&](char *out, size_t capacity) { return oyez_config_dump(handle_, out, capacity); });
    }

private:
    template <typename Call> static std::string text(Call call) {
        std::string out(static_cast<size_t>(check(call(nullptr, 0))) + 1, '\0');
        out.resize(static_cast<size_t>(check(call(&out[0], out.size()))));
        return out;
    }
};

/// The partition of a key, in a topic of so many.
inline uint16_t partition_of(std::string_view key, uint16_t partitions) {
    return static_cast<uint16_t>(
        check(oyez_partition_of(reinterpret_cast<const uint8_t *>(key.data()), key.size(), partitions)));
}

/// Which topic to read, all its partitions or one, and from where.
struct subscription {
    std::string topic;
    int32_t start = OYEZ_START_LIVE;
    uint64_t start_at = 0;
    uint32_t start_epoch = 0;
    uint16_t partition = 0;
};

/// Nanoseconds for the C functions.
inline uint64_t nanoseconds(std::chrono::nanoseconds duration) {
    return duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
}

/// The owner of a partition.
class publisher : public owner<oyez_publisher, oyez_publisher_close> {
public:
    publisher(const oyez_client *client, const std::string &topic, uint16_t partition, std::chrono::nanoseconds wait) {
        auto options = sized<oyez_publisher_options>();
        options.wait_ns = nanoseconds(wait);
        check(oyez_publisher_open(client, topic.c_str(), partition, &options, &handle_));
    }

    /// Memory for a message, to be filled and then committed.
    uint8_t *claim(size_t len_bytes) {
        uint8_t *bytes = nullptr;
        check(oyez_publisher_claim(handle_, len_bytes, &bytes));
        return bytes;
    }
    /// The message that is out; nothing where it was back-pressured: try again.
    std::optional<oyez_published> commit() {
        auto published = sized<oyez_published>();
        return outcome(oyez_publisher_commit(handle_, &published), published);
    }
    void abort() { check(oyez_publisher_abort(handle_)); }

    /// As `commit`, of a copy.
    std::optional<oyez_published> offer(const void *message, size_t len_bytes) {
        auto published = sized<oyez_published>();
        const auto *bytes = static_cast<const uint8_t *>(message);
        return outcome(oyez_publisher_offer(handle_, bytes, len_bytes, &published), published);
    }
    std::optional<oyez_published> offer(std::string_view message) { return offer(message.data(), message.size()); }
    /// As `offer`, of parts one behind the other.
    std::optional<oyez_published> offer(const oyez_part *parts, size_t count) {
        auto published = sized<oyez_published>();
        return outcome(oyez_publisher_offerv(handle_, parts, count, &published), published);
    }
    std::optional<oyez_published> offer(std::initializer_list<oyez_part> parts) {
        return offer(parts.begin(), parts.size());
    }

    uint64_t position(int32_t durability) {
        uint64_t position = 0;
        check(oyez_publisher_position(handle_, durability, &position));
        return position;
    }
    void wait(uint64_t position, int32_t durability, std::chrono::nanoseconds timeout) {
        check(oyez_publisher_wait(handle_, position, durability, nanoseconds(timeout)));
    }
    uint64_t next_sequence() {
        uint64_t sequence = 0;
        check(oyez_publisher_next_sequence(handle_, &sequence));
        return sequence;
    }
    oyez_publisher_counts stats() const {
        auto counts = sized<oyez_publisher_counts>();
        check(oyez_publisher_stats(handle_, &counts));
        return counts;
    }

private:
    static std::optional<oyez_published> outcome(int32_t answer, const oyez_published &published) {
        if (answer == OYEZ_ERR_BACK_PRESSURED)
            return std::nullopt;
        check(answer);
        return published;
    }
};

/// Owns some or all partitions of a topic, and publishes each message to the partition of its key.
class keyed_publisher {
public:
    /// Of all partitions where `partitions` is empty. Owns all of them, or none: they are taken in ascending order, so that
    /// two who wait for the same ones never wait for each other.
    keyed_publisher(const oyez_client *client, const std::string &topic, std::set<uint16_t> partitions,
                    std::chrono::nanoseconds wait)
        : topic_(topic) {
        auto info = sized<oyez_topic_info>();
        check(oyez_client_describe(client, topic.c_str(), 0, &info));
        publishers_.resize(info.partitions);
        if (partitions.empty())
            for (uint16_t partition = 0; partition < info.partitions; ++partition)
                partitions.insert(partition);
        const auto start = std::chrono::steady_clock::now();
        for (auto partition : partitions) {
            publisher owned(client, topic, partition, wait - (std::chrono::steady_clock::now() - start));
            publishers_.at(partition) = std::move(owned);
        }
    }

    /// As a publisher does, to the partition of `key`; what befalls that one leaves the others as they are.
    std::optional<oyez_published> offer(std::string_view key, std::string_view message) {
        return of_key(key).offer(message);
    }
    /// The publisher that a key belongs to: to claim of it, or to wait for what it published. std::out_of_range where its
    /// partition is not owned here.
    publisher &of_key(std::string_view key) {
        const auto partition = partition_of(key, static_cast<uint16_t>(publishers_.size()));
        auto &owned = publishers_[partition];
        if (!owned)
            throw std::out_of_range("topic " + topic_ + ", partition " + std::to_string(partition) +
                                    ": not owned here; hand messages of such keys to its owner, or open it too");
        return *owned;
    }
    /// The publisher of a partition, nothing where it is not owned here: to give it up, or to put another in its place.
    std::optional<publisher> &of_partition(uint16_t partition) { return publishers_.at(partition); }
    /// How many partitions the topic has, those of others included.
    size_t partitions() const noexcept { return publishers_.size(); }

private:
    std::string topic_;
    std::vector<std::optional<publisher>> publishers_;
};

/// The events of a batch, valid until the next call for their subscriber.
class batch {
public:
    batch(const oyez_event *events, size_t size) : events_(events), size_(size) {}
    const oyez_event *begin() const noexcept { return events_; }
    const oyez_event *end() const noexcept { return events_ + size_; }
    const oyez_event &operator[](size_t index) const { return events_[index]; }
    size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

private:
    const oyez_event *events_;
    size_t size_;
};

/// One of many publishers of a topic.
class ingress : public owner<oyez_ingress, oyez_ingress_close> {
public:
    ingress(const oyez_client *client, const std::string &topic, const std::string &origin, uint16_t partition,
            std::chrono::nanoseconds wait) {
        auto options = sized<oyez_publisher_options>();
        options.wait_ns = nanoseconds(wait);
        check(oyez_ingress_open(client, topic.c_str(), partition, origin.c_str(), &options, &handle_));
    }

    /// The publisher's own number of the message that is handed in; nothing where it was back-pressured: try again.
    std::optional<uint64_t> offer(const void *message, size_t len_bytes) {
        uint64_t number = 0;
        const auto answer = oyez_ingress_offer(handle_, static_cast<const uint8_t *>(message), len_bytes, &number);
        if (answer == OYEZ_ERR_BACK_PRESSURED)
            return std::nullopt;
        check(answer);
        return number;
    }
    std::optional<uint64_t> offer(std::string_view message) { return offer(message.data(), message.size()); }
    oyez_accepted accepted() {
        auto accepted = sized<oyez_accepted>();
        check(oyez_ingress_accepted(handle_, &accepted));
        return accepted;
    }
    oyez_accepted wait(uint64_t number, int32_t durability, std::chrono::nanoseconds timeout) {
        auto accepted = sized<oyez_accepted>();
        check(oyez_ingress_wait(handle_, number, durability, nanoseconds(timeout), &accepted));
        return accepted;
    }
};

/// Reads topics.
class subscriber : public owner<oyez_subscriber, oyez_subscriber_close> {
public:
    subscriber(const oyez_client *client, const std::vector<subscription> &topics, int32_t durability,
               uint64_t batch_bytes) {
        std::vector<oyez_subscription> given(topics.size(), sized<oyez_subscription>());
        for (size_t index = 0; index < topics.size(); ++index) {
            const auto &topic = topics[index];
            given[index].topic = topic.topic.c_str();
            given[index].start = topic.start;
            given[index].start_at = topic.start_at;
            given[index].start_epoch = topic.start_epoch;
            given[index].partition = topic.partition;
        }
        auto options = sized<oyez_subscriber_options>();
        options.durability = durability;
        options.batch_bytes = batch_bytes;
        check(oyez_subscriber_open(client, given.data(), given.size(), &options, &handle_));
    }

    /// Gives up to `limit` events to `handler`; how many. A handler that is not noexcept costs one more copy, so that the
    /// event at which it throws, and those behind it, come again.
    template <typename Handler> int32_t poll(size_t limit, Handler &&handler) {
        if constexpr (std::is_nothrow_invocable_v<Handler, const oyez_event &>) {
            // The address of a pointer to it: a plain function has none that C takes.
            auto *pointer = std::addressof(handler);
            auto call = [](void *context, const oyez_event *event) { (**static_cast<decltype(pointer) *>(context))(*event); };
            return check(oyez_subscriber_poll(handle_, call, &pointer, limit));
        } else {
            return poll_controlled(limit, [&](const oyez_event &event) {
                handler(event);
                return OYEZ_CONTINUE;
            });
        }
    }

    /// As `poll`, and the handler returns one of OYEZ_CONTINUE, OYEZ_BREAK, OYEZ_ABORT. Throwing aborts, and comes out of
    /// here: no exception passes through C.
    template <typename Handler> int32_t poll_controlled(size_t limit, Handler &&handler) {
        struct work {
            std::remove_reference_t<Handler> &handler;
            std::exception_ptr thrown;
        } context{handler, nullptr};
        auto call = [](void *pointer, const oyez_event *event) -> int32_t {
            auto &now = *static_cast<work *>(pointer);
            try {
                return now.handler(*event);
            } catch (...) {
                now.thrown = std::current_exception();
                return OYEZ_ABORT;
            }
        };
        int32_t given = oyez_subscriber_poll_controlled(handle_, call, &context, limit);
        if (context.thrown)
            std::rethrow_exception(context.thrown);
        return check(given);
    }

    /// Up to `limit` events, at most 1,024, valid until the next call.
    batch next_batch(size_t limit) {
        if (events_.size() < limit)
            events_.resize(limit, sized<oyez_event>());
        int32_t given = check(oyez_subscriber_next_batch(handle_, events_.data(), limit));
        return {events_.data(), static_cast<size_t>(given)};
    }

    /// Sleeps until a poll may bring something, at most so long; false where that time is over.
    bool wait(std::chrono::nanoseconds timeout) {
        return check(oyez_subscriber_wait(handle_, nanoseconds(timeout))) != 0;
    }
    /// For a loop of one's own: readable when a poll may bring something, from one `arm` to the next.
    int fd() { return check(oyez_subscriber_fd(handle_)); }
    /// Before each sleep on `fd`; true: poll now, and do not sleep.
    bool arm() { return check(oyez_subscriber_arm(handle_)) != 0; }

    void seek(uint32_t topic, int32_t start, uint64_t at = 0, uint32_t epoch = 0) {
        check(oyez_subscriber_seek(handle_, topic, start, epoch, at));
    }
    /// Which topic the last error of a poll or batch speaks of; nothing where there was none, or `seek` mended it.
    std::optional<uint32_t> failed() const {
        uint32_t topic = 0;
        return check(oyez_subscriber_failed(handle_, &topic)) == 0 ? std::nullopt : std::optional(topic);
    }
    oyez_progress progress(uint32_t topic) const {
        auto progress = sized<oyez_progress>();
        check(oyez_subscriber_progress(handle_, topic, &progress));
        return progress;
    }
    oyez_lag lag(uint32_t topic) const {
        auto lag = sized<oyez_lag>();
        check(oyez_subscriber_lag(handle_, topic, &lag));
        return lag;
    }
    oyez_subscriber_counts stats() const {
        auto counts = sized<oyez_subscriber_counts>();
        check(oyez_subscriber_stats(handle_, &counts));
        return counts;
    }

private:
    std::vector<oyez_event> events_;
};

/// A connection to a broker.
class client : public owner<oyez_client, oyez_client_close> {
public:
    explicit client(const config &values) { check(oyez_client_open(values.handle(), &handle_)); }

    oyez_topic_info describe(const std::string &topic, uint16_t partition = 0) const {
        auto info = sized<oyez_topic_info>();
        check(oyez_client_describe(handle_, topic.c_str(), partition, &info));
        return info;
    }
    oyez::publisher publisher(const std::string &topic, uint16_t partition = 0, std::chrono::nanoseconds wait = {}) const {
        return {handle_, topic, partition, wait};
    }
    oyez::keyed_publisher keyed_publisher(const std::string &topic, std::set<uint16_t> partitions = {},
                                          std::chrono::nanoseconds wait = {}) const {
        return {handle_, topic, std::move(partitions), wait};
    }
    oyez::ingress ingress(const std::string &topic, const std::string &origin, uint16_t partition = 0,
                          std::chrono::nanoseconds wait = {}) const {
        return {handle_, topic, origin, partition, wait};
    }
    oyez::subscriber subscriber(const std::vector<subscription> &topics, int32_t durability = OYEZ_PUBLISHED,
                                uint64_t batch_bytes = 0) const {
        return {handle_, topics, durability, batch_bytes};
    }
};

} // namespace oyez

#endif // OYEZ_HPP
