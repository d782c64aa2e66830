//! The Rust side of `oyez-bench sbe`; driver.cpp does the same with the reference implementation's C++.
//!
//! A task a line on standard input: message, what to do with it, how often. An answer a line: ns, sum, allocations. The
//! messages themselves are written into the folder that is the first argument.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "a global allocator is unsafe to write")]
mod allocations;
mod car;
mod message;
mod order;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("the first argument is a folder for the messages")?;
    std::fs::write(format!("{folder}/car.sbe"), message::bytes::<car::Car>()?)?;
    std::fs::write(format!("{folder}/order.sbe"), message::bytes::<order::Order>()?)?;
    for task in std::io::stdin().lines() {
        let task = task?;
        let parts: Vec<_> = task.split(' ').collect();
        let [message, task, count] = parts[..] else { return Err("message, task and count are wanted".into()) };
        let run = if message == "car" { message::run::<car::Car> } else { message::run::<order::Order> };
        println!("{}", run(task, count.parse()?)?);
    }
    Ok(())
}
