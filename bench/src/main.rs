//! `oyez-bench`, as the workspace builds it: without the peers.

fn main() -> std::process::ExitCode {
    oyez_bench::main()
}
