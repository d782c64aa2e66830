// The reference implementation's side of `oyez-bench sbe`: does what src/main.rs does, with the C++ that its tool makes
// of the same schemas. A task a line: message, what to do with it, how often. An answer a line: ns, sum, 0.

#include <chrono>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench_car/Car.h"
#include "oyez_sample/OrderUpdate.h"

namespace
{
// Number of the first message; the others count up from it in 256 steps.
constexpr std::uint64_t NUMBER = 1000000;
// Where both messages have their number.
constexpr std::size_t NUMBER_AT = 8;

// All memory may have changed, and is looked at.
inline void clobber(const void *memory)
{
    asm volatile("" : : "r"(memory) : "memory");
}

// Of a text: its length, its first and its last byte.
inline std::uint64_t text(const char *bytes, std::uint64_t length)
{
    const auto byte = [&](std::uint64_t at) { return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at])); };
    return length == 0 ? 0 : length + byte(0) + byte(length - 1);
}

inline std::uint64_t bits(float number)
{
    std::uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
}

template <typename Header, typename Message>
inline void wrap(Message &message, char *buffer, std::uint64_t length)
{
    Header header(buffer, length);
    if (header.schemaId() != Message::sbeSchemaId() || header.templateId() != Message::sbeTemplateId())
    {
        throw std::runtime_error("another message");
    }
    message.wrapForDecode(buffer, Header::encodedLength(), header.blockLength(), header.version(), length);
}

struct Car
{
    struct Fuel
    {
        std::uint16_t speed;
        float mpg;
        std::string_view usage;
    };
    struct Acceleration
    {
        std::uint16_t mph;
        float seconds;
    };
    struct Performance
    {
        std::uint8_t octane;
        std::vector<Acceleration> accelerations;
    };

    std::uint64_t number = NUMBER;
    std::uint16_t year = 2013;
    bench::car::BooleanType::Value available = bench::car::BooleanType::T;
    bench::car::Model::Value code = bench::car::Model::A;
    std::uint32_t numbers[4] = {1, 2, 3, 4};
    char vehicle[6] = {'a', 'b', 'c', 'd', 'e', 'f'};
    bool sunRoof = false, sportsPack = true, cruiseControl = true;
    std::uint16_t capacity = 2000;
    std::uint8_t cylinders = 4;
    char engineCode[3] = {'1', '2', '3'};
    std::int8_t efficiency = 35;
    bench::car::BooleanType::Value boosted = bench::car::BooleanType::T;
    bench::car::BoostType::Value boost = bench::car::BoostType::NITROUS;
    std::uint8_t horsePower = 200;
    std::vector<Fuel> fuels = {{30, 35.9f, "Urban Cycle"}, {55, 49.0f, "Combined Cycle"}, {75, 40.0f, "Highway Cycle"}};
    std::vector<Performance> performances = {
        {95, {{30, 4.0f}, {60, 7.5f}, {100, 12.2f}}}, {99, {{30, 3.8f}, {60, 7.1f}, {100, 11.8f}}}};
    std::string_view manufacturer = "Honda", model = "Civic VTi", activation = "deadbeef";

    static inline std::uint64_t decode(char *buffer, std::uint64_t length)
    {
        bench::car::Car car;
        wrap<bench::car::MessageHeader>(car, buffer, length);
        std::uint64_t sum = car.serialNumber() + car.modelYear() + car.available() + car.code();
        for (std::uint64_t at = 0; at < 4; at++)
        {
            sum += car.someNumbers(at);
        }
        sum += text(car.vehicleCode(), 6);
        auto &extras = car.extras();
        sum += extras.sunRoof() + 2 * extras.sportsPack() + 4 * extras.cruiseControl();
        auto &engine = car.engine();
        sum += engine.capacity() + engine.numCylinders() + text(engine.manufacturerCode(), 3);
        sum += engine.efficiency() + engine.boosterEnabled();
        auto &booster = engine.booster();
        sum += booster.boostType() + booster.horsePower();
        auto &fuels = car.fuelFigures();
        while (fuels.hasNext())
        {
            fuels.next();
            sum += fuels.speed() + bits(fuels.mpg());
            const auto usage = fuels.getUsageDescriptionAsStringView();
            sum += text(usage.data(), usage.size());
        }
        auto &performances = car.performanceFigures();
        while (performances.hasNext())
        {
            performances.next();
            sum += performances.octaneRating();
            auto &accelerations = performances.acceleration();
            while (accelerations.hasNext())
            {
                accelerations.next();
                sum += accelerations.mph() + bits(accelerations.seconds());
            }
        }
        const auto manufacturer = car.getManufacturerAsStringView();
        sum += text(manufacturer.data(), manufacturer.size());
        const auto model = car.getModelAsStringView();
        sum += text(model.data(), model.size());
        const auto activation = car.getActivationCodeAsStringView();
        return sum + text(activation.data(), activation.size());
    }

    inline std::uint64_t encode(char *buffer, std::uint64_t length) const
    {
        bench::car::Car car;
        car.wrapAndApplyHeader(buffer, 0, length);
        car.serialNumber(number).modelYear(year).available(available).code(code);
        car.putSomeNumbers(numbers[0], numbers[1], numbers[2], numbers[3]).putVehicleCode(vehicle);
        car.extras().clear().sunRoof(sunRoof).sportsPack(sportsPack).cruiseControl(cruiseControl);
        auto &engine = car.engine();
        engine.capacity(capacity).numCylinders(cylinders).putManufacturerCode(engineCode);
        engine.efficiency(efficiency).boosterEnabled(boosted);
        engine.booster().boostType(boost).horsePower(horsePower);
        auto &fuelFigures = car.fuelFiguresCount(fuels.size());
        for (const auto &fuel : fuels)
        {
            fuelFigures.next().speed(fuel.speed).mpg(fuel.mpg).putUsageDescription(fuel.usage);
        }
        auto &performanceFigures = car.performanceFiguresCount(performances.size());
        for (const auto &performance : performances)
        {
            performanceFigures.next().octaneRating(performance.octane);
            auto &accelerations = performanceFigures.accelerationCount(performance.accelerations.size());
            for (const auto &acceleration : performance.accelerations)
            {
                accelerations.next().mph(acceleration.mph).seconds(acceleration.seconds);
            }
        }
        car.putManufacturer(manufacturer).putModel(model).putActivationCode(activation);
        return bench::car::MessageHeader::encodedLength() + car.encodedLength();
    }
};

struct Order
{
    struct Entry
    {
        std::uint32_t instrument;
        oyez::sample::OrderAction::Value action;
        oyez::sample::Side::Value side;
        oyez::sample::OrderKind::Value kind;
        bool marketMaker, algorithm, directAccess;
        std::optional<std::uint64_t> priority, previous;
        std::int64_t price;
        std::uint64_t quantity;
    };

    std::uint64_t number = NUMBER;
    oyez::sample::Repeat::Value repeat = oyez::sample::Repeat::No;
    oyez::sample::Book::Value book = oyez::sample::Book::Central;
    std::uint64_t time = 1700000000000000000;
    std::vector<Entry> orders = {{1250, oyez::sample::OrderAction::Added, oyez::sample::Side::Sell,
        oyez::sample::OrderKind::Limit, false, true, true, 1700000000000000042, std::nullopt, 1234500, 300}};

    static inline std::uint64_t decode(char *buffer, std::uint64_t length)
    {
        using Orders = oyez::sample::OrderUpdate::Orders;
        oyez::sample::OrderUpdate update;
        wrap<oyez::sample::MessageHeader>(update, buffer, length);
        std::uint64_t sum = update.feedSequence() + update.repeat() + update.book() + update.eventTime();
        auto &orders = update.orders();
        while (orders.hasNext())
        {
            orders.next();
            sum += orders.instrument() + orders.action() + orders.side() + orders.kind();
            auto &flags = orders.flags();
            sum += flags.marketMaker() + 2 * flags.algorithm() + 4 * flags.directAccess();
            const auto priority = orders.priority(), previous = orders.previousPriority();
            sum += priority == Orders::priorityNullValue() ? 1 : priority;
            sum += previous == Orders::previousPriorityNullValue() ? 1 : previous;
            sum += orders.price().mantissa() + orders.quantity();
        }
        return sum;
    }

    inline std::uint64_t encode(char *buffer, std::uint64_t length) const
    {
        using Orders = oyez::sample::OrderUpdate::Orders;
        oyez::sample::OrderUpdate update;
        update.wrapAndApplyHeader(buffer, 0, length);
        update.feedSequence(number).repeat(repeat).book(book).eventTime(time);
        auto &encoder = update.ordersCount(orders.size());
        for (const auto &order : orders)
        {
            encoder.next().instrument(order.instrument).action(order.action).side(order.side).kind(order.kind);
            auto &flags = encoder.flags().clear();
            flags.marketMaker(order.marketMaker).algorithm(order.algorithm).directAccess(order.directAccess);
            encoder.priority(order.priority.value_or(Orders::priorityNullValue()));
            encoder.previousPriority(order.previous.value_or(Orders::previousPriorityNullValue()));
            encoder.price().mantissa(order.price);
            encoder.quantity(order.quantity);
        }
        return oyez::sample::MessageHeader::encodedLength() + update.encodedLength();
    }
};

// Answers how long `once` took for all numbers, and what is left to check: the sum, and the bytes of the last message.
template <typename Once>
void time(std::uint64_t count, const char *buffer, std::uint64_t length, Once once)
{
    std::uint64_t sum = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t at = 0; at < count; at++)
    {
        sum += once(NUMBER + at % 256);
    }
    const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - start;
    for (std::uint64_t at = 0; at < length; at++)
    {
        sum = sum * 31 + static_cast<unsigned char>(buffer[at]);
    }
    std::cout << spent.count() << ' ' << sum << " 0" << std::endl;
}

template <typename Message>
void run(const std::string &task, std::uint64_t count)
{
    alignas(64) Message message;
    alignas(64) char buffer[512] = {};
    const std::uint64_t length = message.encode(buffer, sizeof buffer);
    if (task == "decode")
    {
        time(count, buffer, length, [&](std::uint64_t number) {
            std::memcpy(buffer + NUMBER_AT, &number, sizeof number);
            clobber(buffer);
            return Message::decode(buffer, length);
        });
    }
    else
    {
        time(count, buffer, length, [&](std::uint64_t number) {
            message.number = number;
            clobber(&message);
            const std::uint64_t encoded = message.encode(buffer, sizeof buffer);
            clobber(buffer);
            return encoded;
        });
    }
}
}

int main()
{
    std::string message, task;
    std::uint64_t count;
    while (std::cin >> message >> task >> count)
    {
        message == "car" ? run<Car>(task, count) : run<Order>(task, count);
    }
}
