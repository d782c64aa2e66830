//! How to open a client: keys and values, both text.

use crate::argument::{copy_text, exclusive, hand_out, shared, take_back, text};
use crate::error::{Failure, OYEZ_ERR_ABI, OYEZ_ERR_CONFIG, call};
use crate::{OYEZ_ABI_VERSION, OYEZ_OK};
use oyez::{Bus, Connect, Topic};
use std::ffi::c_char;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

/// How to open a client: made by `oyez_config_new`. One thread's at a time.
///
/// | key | meaning | unless set |
/// |---|---|---|
/// | `socket` | path of the broker's Unix socket | none |
/// | `name` | what this process is called in the broker's reports | the program's name |
/// | `timeout_ms` | how long one request to the broker may take, connecting included | 5000 |
/// | `in_process` | instead of `socket`: names of topics, with commas, of a bus within this process, for unit tests; `NAME:4` has four partitions | none |
pub struct oyez_config {
    _opaque: (),
}

pub(crate) struct Config {
    socket: String,
    name: String,
    timeout_ms: u64,
    in_process: String,
}

const KEYS: [&str; 4] = ["socket", "name", "timeout_ms", "in_process"];

impl Config {
    fn new() -> Config {
        let program = std::env::args_os().next();
        let name = program.as_deref().and_then(|program| Path::new(program).file_name());
        let name = name.map_or_else(String::new, |name| name.display().to_string());
        Config { socket: String::new(), name, timeout_ms: 5_000, in_process: String::new() }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "socket" => value.clone_into(&mut self.socket),
            "name" => value.clone_into(&mut self.name),
            "in_process" => value.clone_into(&mut self.in_process),
            "timeout_ms" => {
                let bad = |error| wrong(format!("timeout_ms = {value}: {error}; write a number of milliseconds"));
                self.timeout_ms = value.parse().map_err(bad)?;
            }
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Result<String, Failure> {
        Ok(match key {
            "socket" => self.socket.clone(),
            "name" => self.name.clone(),
            "timeout_ms" => self.timeout_ms.to_string(),
            "in_process" => self.in_process.clone(),
            _ => return Err(unknown(key)),
        })
    }

    /// One `key = value` in a line; empty lines, and lines that begin with `#`, say nothing.
    fn load(&mut self, path: &str) -> Result<(), Failure> {
        let file =
            std::fs::read_to_string(path).map_err(|error| wrong(format!("{path}: {error}; name another file")))?;
        for (index, line) in file.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |what: &str| wrong(format!("{path}, line {}: {what}", index + 1));
            let (key, value) = line.split_once('=').ok_or_else(|| at("no `=`; write `key = value`"))?;
            self.set(key.trim(), value.trim()).map_err(|failure| at(failure.text()))?;
        }
        Ok(())
    }

    fn dump(&self) -> Result<String, Failure> {
        let mut text = String::new();
        for key in KEYS {
            writeln!(text, "{key} = {}", self.get(key)?).expect("a String takes all");
        }
        Ok(text)
    }

    pub(crate) fn open(&self) -> Result<Bus, Failure> {
        match (self.socket.is_empty(), self.in_process.is_empty()) {
            (false, true) => {
                let connect = Connect::new(&self.socket).name(&self.name);
                Ok(Bus::connect(connect.timeout(Duration::from_millis(self.timeout_ms)))?)
            }
            (true, false) => {
                let topics = self.in_process.split(',').map(topic_of).collect::<Result<Vec<_>, _>>()?;
                Ok(Bus::in_process(&topics)?)
            }
            _ => Err(wrong("set `socket`, or `in_process` for a bus within this process, and not both".to_owned())),
        }
    }
}

/// `NAME`, or `NAME:PARTITIONS`.
fn topic_of(told: &str) -> Result<Topic, Failure> {
    let Some((name, partitions)) = told.split_once(':') else { return Ok(Topic::new(told.trim())) };
    let bad = |error| wrong(format!("in_process: {}: {error}; write NAME, or NAME:4 for four partitions", told.trim()));
    Ok(Topic::new(name.trim()).partitions(partitions.trim().parse().map_err(bad)?))
}

fn wrong(what: String) -> Failure {
    Failure::new(OYEZ_ERR_CONFIG, what)
}

fn unknown(key: &str) -> Failure {
    wrong(format!("{key}: no such key; known are {}", KEYS.join(", ")))
}

/// The library has a copy of Rust's runtime of its own, so that no other Rust code of the process is silenced. What the
/// panic says becomes the last error.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}

/// A configuration with every key as it is unless set. Pass OYEZ_ABI_VERSION: OYEZ_ERR_ABI says that the library is older
/// than the header that the program was compiled with. Free it with `oyez_config_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_new(abi_version: u32, config: *mut *mut oyez_config) -> i32 {
    silence_panics();
    call(|| {
        // SAFETY: the caller promises NULL or a place for a handle.
        unsafe {
            hand_out(config, "config", || match abi_version <= OYEZ_ABI_VERSION {
                true => Ok(Config::new()),
                false => Err(Failure::new(
                    OYEZ_ERR_ABI,
                    format!(
                        "the header is of ABI {abi_version}, the library of {OYEZ_ABI_VERSION}; install a newer library"
                    ),
                )),
            })
        }
    })
}

/// Sets one key. An unknown key is OYEZ_ERR_CONFIG, and the last error names it and those there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_set(config: *mut oyez_config, key: *const c_char, value: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a configuration that it alone uses, as in the functions below.
        let config = unsafe { exclusive(config.cast::<Config>(), "config") }?;
        // SAFETY: the caller promises NULL or a text, as in the functions below.
        let key = unsafe { text(key, "key") }?;
        // SAFETY: as above.
        let value = unsafe { text(value, "value") }?;
        config.set(key, value).map(|()| OYEZ_OK)
    })
}

/// Writes the value of a key to `value`, at most `capacity` bytes with the NUL. Returns the bytes of all of it without the
/// NUL: `capacity` or more means that it was cut. `value` may be NULL where `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_get(
    config: *const oyez_config,
    key: *const c_char,
    value: *mut c_char,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_config_set`.
        let config = unsafe { shared(config.cast::<Config>(), "config") }?;
        // SAFETY: as in `oyez_config_set`.
        let key = unsafe { text(key, "key") }?;
        let found = config.get(key)?;
        // SAFETY: the caller promises `capacity` bytes at `value`.
        Ok(unsafe { copy_text(&found, value, capacity) })
    })
}

/// Sets every key that a file names, one `key = value` in a line; lines that begin with `#` say nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_load_file(config: *mut oyez_config, path: *const c_char) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_config_set`.
        let config = unsafe { exclusive(config.cast::<Config>(), "config") }?;
        // SAFETY: as in `oyez_config_set`.
        let path = unsafe { text(path, "path") }?;
        config.load(path).map(|()| OYEZ_OK)
    })
}

/// Writes all keys with the values in effect to `text`, as `oyez_config_load_file` reads them; bounds as in
/// `oyez_config_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_dump(config: *const oyez_config, text: *mut c_char, capacity: usize) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_config_set`.
        let config = unsafe { shared(config.cast::<Config>(), "config") }?;
        let dumped = config.dump()?;
        // SAFETY: the caller promises `capacity` bytes at `text`.
        Ok(unsafe { copy_text(&dumped, text, capacity) })
    })
}

/// Frees a configuration and puts NULL in its place; nothing for NULL. Clients opened with it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_config_free(config: *mut *mut oyez_config) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL, or a place that holds NULL or a configuration.
        drop(unsafe { take_back(config, |_: &Config| Ok(())) }?);
        Ok(OYEZ_OK)
    })
}
