//! `oyez-bench` once more, with the peers: built and run by the other where `--peers` asks for them.

fn main() -> std::process::ExitCode {
    oyez_bench::main()
}
