// The conformance script by the C++ header: driver SOCKET SCRIPT PREFIX, where PREFIX comes before each topic's name.

#include <oyez.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <poll.h>
#include <sstream>

namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

std::string name_of(int32_t code) {
    std::string text = oyez_strerror(code);
    return text.substr(0, text.find(':'));
}

words split(const std::string &text, char at) {
    words parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, at);)
        parts.push_back(part);
    return parts;
}

// SBE message header of schema 7, and the body: TEMPLATE:BODY, or ~N.
std::string message_of(const std::string &told) {
    auto colon = told.find(':');
    auto body = told[0] == '~' ? std::string(std::stoul(told.substr(1)), 'x') : told.substr(colon + 1);
    auto template_id = told[0] == '~' ? 1ul : std::stoul(told.substr(0, colon));
    const uint16_t header[4] = {static_cast<uint16_t>(body.size()), static_cast<uint16_t>(template_id), 7, 0};
    return std::string(reinterpret_cast<const char *>(header), sizeof header) + body;
}

// live, earliest, sequence:N, resume:EPOCH:N, time:NS
oyez::subscription start_of(const std::string &told) {
    const words kinds = {"live", "earliest", "sequence", "resume", "time"};
    auto parts = split(told, ':');
    oyez::subscription start;
    start.start = static_cast<int32_t>(std::find(kinds.begin(), kinds.end(), parts[0]) - kinds.begin());
    if (parts.size() > 1)
        start.start_at = std::stoull(parts.back());
    if (parts.size() > 2)
        start.start_epoch = static_cast<uint32_t>(std::stoul(parts[1]));
    return start;
}

// A body of many x is told by their number.
std::string body_of(const oyez_event &event) {
    std::string body(oyez::bytes(event).substr(8));
    bool is_long = body.size() > 40 && body == std::string(body.size(), 'x');
    return is_long ? '~' + std::to_string(body.size()) : body;
}

std::string text_of(const oyez_event &event) {
    std::ostringstream out;
    switch (event.kind) {
    case OYEZ_EVENT_MESSAGE:
        out << "message " << event.sequence << ' ' << event.template_id << ':' << body_of(event);
        break;
    case OYEZ_EVENT_EPOCH: out << "epoch " << event.epoch << " from " << event.sequence; break;
    case OYEZ_EVENT_CAUGHT_UP: out << "caught-up " << event.sequence; break;
    case OYEZ_EVENT_GAP: out << "gap " << event.sequence << ' ' << event.to_sequence << ' ' << event.cause; break;
    case OYEZ_EVENT_LAPPED: out << "lapped " << event.sequence; break;
    default: out << "rewound " << event.sequence << ' ' << event.to_sequence;
    }
    return out.str();
}

class driver {
public:
    driver(const std::string &socket, std::string prefix) : prefix_(std::move(prefix)), client_({{"socket", socket}, {"timeout_ms", "60000"}}) {}

    std::string step(const words &given) {
        try {
            return obey(given);
        } catch (const oyez::error &error) {
            return name_of(error.code());
        }
    }

private:
    std::string obey(const words &given) {
        const auto &verb = given[0], &name = given[1];
        if (verb == "describe") {
            auto info = client_.describe(prefix_ + name);
            return "OK partitions " + std::to_string(info.partitions) + " durability " + std::to_string(info.durability);
        }
        if (verb == "key")
            return "OK " + std::to_string(oyez::partition_of(name, static_cast<uint16_t>(std::stoul(given[2]))));
        if (verb == "publisher") {
            auto partition = static_cast<uint16_t>(std::stoul(given[3]));
            publishers_.emplace(name, client_.publisher(prefix_ + given[2], partition));
            return "OK";
        }
        if (verb == "subscriber") {
            std::vector<oyez::subscription> topics;
            for (const auto &told : split(given[3], ',')) {
                auto slash = told.find('/'), at = told.find('@');
                topics.push_back(start_of(told.substr(at + 1)));
                topics.back().topic = prefix_ + told.substr(0, slash);
                auto partition = told.substr(slash + 1, at - slash - 1);
                topics.back().partition =
                    partition == "all" ? OYEZ_ALL_PARTITIONS : static_cast<uint16_t>(std::stoul(partition));
            }
            subscribers_.emplace(name, client_.subscriber(topics, std::stoi(given[2])));
            return "OK";
        }
        if (auto found = publishers_.find(name); found != publishers_.end())
            return publish(verb, found->second, given);
        return subscribe(verb, subscribers_.at(name), given);
    }

    std::string publish(const std::string &verb, oyez::publisher &publisher, const words &given) {
        if (verb == "offer")
            return published(given[1], publisher.offer(message_of(given[2])));
        if (verb == "offerv") {
            auto message = message_of(given[2]);
            const auto &rest = given[3];
            auto parts = {oyez::part(message.data(), message.size()), oyez::part(rest.data(), rest.size())};
            return published(given[1], publisher.offer(parts));
        }
        if (verb == "claim") {
            auto message = message_of(given[2]);
            std::copy(message.begin(), message.end(), publisher.claim(message.size()));
            return "OK";
        }
        if (verb == "commit")
            return published(given[1], publisher.commit());
        if (verb == "next")
            return "OK " + std::to_string(publisher.next_sequence());
        if (verb == "stats") {
            auto counts = publisher.stats();
            return "OK messages " + std::to_string(counts.messages) + " refused " + std::to_string(counts.refused);
        }
        if (verb == "abort")
            publisher.abort();
        if (verb == "wait")
            publisher.wait(positions_[given[1]], std::stoi(given[2]), 60s);
        if (verb == "close") {
            publisher.close();
            publishers_.erase(given[1]);
        }
        return "OK";
    }

    std::string published(const std::string &name, std::optional<oyez_published> message) {
        if (!message)
            return "BACK_PRESSURED";
        positions_[name] = message->position;
        return "OK " + std::to_string(message->sequence);
    }

    std::string subscribe(const std::string &verb, oyez::subscriber &subscriber, const words &given) {
        if (verb == "progress") {
            auto told = subscriber.progress(static_cast<uint32_t>(std::stoul(given[2])));
            auto next = told.is_known ? std::to_string(told.next_sequence) : "?";
            return "OK epoch " + std::to_string(told.epoch) + " next " + next;
        }
        if (verb == "lag") {
            auto lag = subscriber.lag(static_cast<uint32_t>(std::stoul(given[2])));
            return "OK messages " + (lag.is_known ? std::to_string(lag.messages) : "?");
        }
        if (verb == "stats") {
            auto counts = subscriber.stats();
            return "OK messages " + std::to_string(counts.messages) + " gaps " + std::to_string(counts.gaps) +
                   " missing " + std::to_string(counts.missing);
        }
        if (verb == "seek") {
            auto start = start_of(given[3]);
            auto topic = static_cast<uint32_t>(std::stoul(given[2]));
            subscriber.seek(topic, start.start, start.start_at, start.start_epoch);
            return "OK";
        }
        if (verb == "sleep")
            return subscriber.wait(60s) ? "OK woken" : "OK quiet";
        if (verb == "doze") {
            pollfd source{subscriber.fd(), POLLIN, 0};
            return subscriber.arm() || poll(&source, 1, 60'000) == 1 ? "OK woken" : "OK quiet";
        }
        if (verb == "idle")
            return subscriber.poll(1, [](const oyez_event &) noexcept {}) == 0 ? "OK" : "SOMETHING CAME";
        if (verb == "close") {
            subscriber.close();
            subscribers_.erase(given[1]);
            return "OK";
        }
        return receive(verb, subscriber, given.size() > 2 ? std::stoul(given[2]) : verb == "again" ? 2 : 1);
    }

    static std::string receive(const std::string &verb, oyez::subscriber &subscriber, size_t wanted) {
        std::map<uint32_t, words> came;
        size_t count = 0;
        auto take = [&](const oyez_event &event) noexcept {
            came[event.topic].push_back(text_of(event));
            ++count;
        };
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (count < wanted && std::chrono::steady_clock::now() < deadline) {
            if (verb == "take") {
                subscriber.poll(wanted - count, take);
            } else if (verb == "batch") {
                for (const auto &event : subscriber.next_batch(wanted - count))
                    take(event);
            } else if (verb == "break") {
                subscriber.poll_controlled(64, [&](const oyez_event &event) { return take(event), OYEZ_BREAK; });
            } else {
                // What a handler throws at comes again.
                try {
                    subscriber.poll(1, [&](const oyez_event &event) { take(event), throw std::runtime_error("again"); });
                } catch (const std::runtime_error &) {
                    subscriber.poll(1, [&](const oyez_event &event) { take(event); });
                }
            }
        }
        std::string text = count < wanted ? "NOTHING MORE CAME AFTER " : "";
        for (const auto &[_, events] : came)
            for (const auto &event : events)
                text += (text.empty() ? "" : "; ") + event;
        return text;
    }

    std::string prefix_;
    oyez::client client_;
    std::map<std::string, oyez::publisher> publishers_;
    std::map<std::string, oyez::subscriber> subscribers_;
    std::map<std::string, uint64_t> positions_;
};

} // namespace

int main(int argc, char **argv) {
    if (argc != 4) {
        std::cerr << "driver SOCKET SCRIPT PREFIX\n";
        return 2;
    }
    driver driver(argv[1], argv[3]);
    std::ifstream script(argv[2]);
    for (std::string line; std::getline(script, line);) {
        auto arrow = line.find(" -> ");
        if (arrow == std::string::npos || line[0] == '#') {
            std::cout << line << '\n';
        } else {
            line.resize(arrow);
            std::cout << line << " -> " << driver.step(split(line, ' ')) << '\n';
        }
    }
}
