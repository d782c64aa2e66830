// Market updates by the codecs that the reference implementation of SBE generates, encoded in place and decoded where
// they lie: market_updates SOCKET TOPIC. The codecs are made of sbe-codec/sample/schema/oyez-sample.xml:
//   java --add-opens java.base/jdk.internal.misc=ALL-UNNAMED -Dsbe.target.language=cpp -Dsbe.output.dir=codecs
//       -cp sbe-all.jar uk.co.real_logic.sbe.SbeTool oyez-sample.xml

#include <oyez.hpp>

#include <oyez_sample/MarketUpdate.h>
#include <oyez_sample/MessageHeader.h>

#include <iostream>
#include <thread>

using namespace oyez::sample;

static void publish(oyez::publisher &publisher, uint64_t number) {
    const size_t len_bytes = MessageHeader::encodedLength() + MarketUpdate::computeLength(2);
    auto *bytes = reinterpret_cast<char *>(publisher.claim(len_bytes));
    MarketUpdate update;
    update.wrapAndApplyHeader(bytes, 0, len_bytes);
    update.feedSequence(number).repeat(Repeat::No).book(Book::Central).eventTime(0);
    auto &limits = update.updatesCount(2);
    limits.next().kind(LimitKind::BestBid).instrument(7).quantity(100).orders(3).price().mantissa(123400 + int64_t(number));
    limits.next().kind(LimitKind::BestOffer).instrument(7).quantity(50).orders(1).price().mantissa(123500 + int64_t(number));
    while (!publisher.commit())
        std::this_thread::yield();
}

static void print(const oyez_event &event) {
    if (event.template_id != MarketUpdate::sbeTemplateId())
        return;
    auto *bytes = const_cast<char *>(oyez::bytes(event).data());
    MessageHeader header(bytes, event.len_bytes);
    MarketUpdate update;
    update.wrapForDecode(bytes, MessageHeader::encodedLength(), header.blockLength(), event.schema_version, event.len_bytes);
    std::cout << "update " << update.feedSequence() << ':';
    for (auto &limits = update.updates(); limits.hasNext();) {
        auto &limit = limits.next();
        std::cout << ' ' << LimitKind::c_str(limit.kind()) << ' ' << limit.quantity() << " at " << limit.price().mantissa();
    }
    std::cout << '\n';
}

int main(int argc, char **argv) try {
    if (argc != 3)
        return std::cerr << "market_updates SOCKET TOPIC\n", 2;
    oyez::client client({{"socket", argv[1]}});
    auto publisher = client.publisher(argv[2], 0, std::chrono::seconds(60));
    auto subscriber = client.subscriber({{argv[2], OYEZ_START_EARLIEST}});
    for (uint64_t number = 0; number < 3; ++number)
        publish(publisher, number);
    for (uint64_t taken = 0; taken < 3;)
        subscriber.poll(3 - taken, [&](const oyez_event &event) {
            print(event);
            taken += event.kind == OYEZ_EVENT_MESSAGE;
        });
} catch (const std::exception &error) {
    return std::cerr << "market_updates: " << error.what() << '\n', 1;
}
