//! The car: every field read, every field written.

use crate::message::{Message, text};
use bench_car::car::{self, fuel_figures, performance_figures};
use bench_car::{BooleanType, BoostType, Booster, Engine, Model, OptionalExtras};
use oyez_sbe_runtime::Error;

include!(concat!(env!("OUT_DIR"), "/car.rs"));

/// What a program has that wants to send the message.
pub(crate) struct Car {
    number: u64,
    year: u16,
    available: BooleanType,
    code: Model,
    numbers: [u32; 4],
    vehicle: [u8; 6],
    /// Sun roof, sports pack, cruise control.
    extras: [bool; 3],
    capacity: u16,
    cylinders: u8,
    engine_code: [u8; 3],
    efficiency: i8,
    boosted: BooleanType,
    boost: BoostType,
    horse_power: u8,
    fuels: Vec<Fuel>,
    performances: Vec<Performance>,
    manufacturer: &'static str,
    model: &'static str,
    activation: &'static str,
}

struct Fuel {
    speed: u16,
    mpg: f32,
    usage: &'static str,
}

struct Performance {
    octane: u8,
    /// Speed and seconds.
    accelerations: Vec<(u16, f32)>,
}

const EXTRAS: [OptionalExtras; 3] =
    [OptionalExtras::SUN_ROOF, OptionalExtras::SPORTS_PACK, OptionalExtras::CRUISE_CONTROL];

impl Message for Car {
    const SCHEMA: &'static str = include_str!("../car.xml");

    fn new(number: u64) -> Car {
        let fuel = |speed, mpg, usage| Fuel { speed, mpg, usage };
        Car {
            number,
            year: 2013,
            available: BooleanType::T,
            code: Model::A,
            numbers: [1, 2, 3, 4],
            vehicle: *b"abcdef",
            extras: [false, true, true],
            capacity: 2000,
            cylinders: 4,
            engine_code: *b"123",
            efficiency: 35,
            boosted: BooleanType::T,
            boost: BoostType::NITROUS,
            horse_power: 200,
            fuels: vec![
                fuel(30, 35.9, "Urban Cycle"),
                fuel(55, 49.0, "Combined Cycle"),
                fuel(75, 40.0, "Highway Cycle"),
            ],
            performances: vec![
                Performance { octane: 95, accelerations: vec![(30, 4.0), (60, 7.5), (100, 12.2)] },
                Performance { octane: 99, accelerations: vec![(30, 3.8), (60, 7.1), (100, 11.8)] },
            ],
            manufacturer: "Honda",
            model: "Civic VTi",
            activation: "deadbeef",
        }
    }

    #[inline(always)]
    fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    #[inline(always)]
    fn decode(bytes: &[u8]) -> Result<u64, Error> {
        let car = car::decode(bytes)?;
        let mut sum = car.serial_number() + u64::from(car.model_year());
        sum += u64::from(car.available().0) + u64::from(car.code().0);
        sum += car.some_numbers().into_iter().map(u64::from).sum::<u64>() + text(car.vehicle_code());
        let extras = car.extras();
        sum += (0..3).map(|bit| u64::from(extras.contains(EXTRAS[bit])) << bit).sum::<u64>();
        let engine = car.engine();
        sum += u64::from(engine.capacity) + u64::from(engine.num_cylinders) + text(&engine.manufacturer_code);
        sum += engine.efficiency as u64 + u64::from(engine.booster_enabled.0);
        sum += u64::from(engine.booster.boost_type.0) + u64::from(engine.booster.horse_power);
        let fuels = car.fuel_figures()?;
        for fuel in &fuels {
            let fuel = fuel?;
            sum += u64::from(fuel.speed()) + u64::from(fuel.mpg().to_bits());
            sum += text(fuel.usage_description()?.0);
        }
        let performances = fuels.end()?.performance_figures()?;
        for performance in &performances {
            let performance = performance?;
            sum += u64::from(performance.octane_rating());
            let accelerations = performance.acceleration()?;
            for acceleration in &accelerations {
                sum += u64::from(acceleration.mph()) + u64::from(acceleration.seconds().to_bits());
            }
            accelerations.end();
        }
        let (manufacturer, rest) = performances.end()?.manufacturer()?;
        let (model, rest) = rest.model()?;
        let (activation, _) = rest.activation_code()?;
        Ok(sum + text(manufacturer) + text(model) + text(activation))
    }

    #[inline(always)]
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let extra = |bit: usize| if self.extras[bit] { EXTRAS[bit] } else { OptionalExtras::default() };
        let fields = car::Fields {
            serial_number: self.number,
            model_year: self.year,
            available: self.available,
            code: self.code,
            some_numbers: self.numbers,
            vehicle_code: &self.vehicle,
            extras: extra(0) | extra(1) | extra(2),
            engine: Engine {
                capacity: self.capacity,
                num_cylinders: self.cylinders,
                manufacturer_code: self.engine_code,
                efficiency: self.efficiency,
                booster_enabled: self.boosted,
                booster: Booster { boost_type: self.boost, horse_power: self.horse_power },
            },
        };
        let mut fuels = car::encode(buffer, &fields)?.fuel_figures()?;
        for Fuel { speed, mpg, usage } in &self.fuels {
            let fuel = fuels.push(&fuel_figures::Fields { speed: *speed, mpg: *mpg })?;
            fuels = fuel.usage_description(usage.as_bytes())?;
        }
        let mut performances = fuels.end()?.performance_figures()?;
        for Performance { octane, accelerations } in &self.performances {
            let fields = performance_figures::Fields { octane_rating: *octane };
            let mut encoder = performances.push(&fields)?.acceleration()?;
            for (mph, seconds) in accelerations {
                let fields = performance_figures::acceleration::Fields { mph: *mph, seconds: *seconds };
                encoder = encoder.push(&fields)?;
            }
            performances = encoder.end()?;
        }
        let texts = performances.end()?.manufacturer(self.manufacturer.as_bytes())?;
        texts.model(self.model.as_bytes())?.activation_code(self.activation.as_bytes())
    }
}
