//! A real Apache Kafka: one process on loopback, gone with its data when the value is dropped.

use crate::child;
use crate::failure::{Failure, Result};
use crate::{jars, packages};
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PROPERTIES: &str = include_str!("../kafka/server.properties");
const LOGGING: &str = include_str!("../kafka/log4j2.properties");
/// Any one will do: the cluster lives for one run.
const CLUSTER_ID: &str = "b3llei1vbmUtY2x1c3Rlcg";
/// What the start may take at most. Kafka's own client gives up after 60 s.
const START_LIMIT_S: u32 = 90;

pub(crate) struct Kafka {
    process: Child,
    /// `host:port`, as clients take it.
    pub(crate) bootstrap: String,
}

impl Kafka {
    /// Starts a broker with its files below `dir` and returns when it has answered a metadata request.
    pub(crate) fn start(dir: &Path) -> Result<Kafka> {
        packages::need("java")?;
        let tools = Tools { jars: jars::KAFKA.bring()?, dir: dir.to_path_buf() };
        let [broker, controller] = free_ports()?;
        let bootstrap = format!("127.0.0.1:{broker}");
        let properties = PROPERTIES
            .replace("{broker}", &broker.to_string())
            .replace("{controller}", &controller.to_string())
            .replace("{data}", &dir.join("data").display().to_string());
        write(&dir.join("server.properties"), &properties)?;
        write(&dir.join("log4j2.properties"), LOGGING)?;

        tools
            .run("kafka.tools.StorageTool", &["format", "--standalone", "-t", CLUSTER_ID, "-c", "server.properties"])?;
        let log = dir.join("kafka.log");
        let output = File::create(&log).map_err(Failure::at(log.display()))?;
        let mut command = tools.command(&["setpriv", "--pdeathsig", "KILL"], "kafka.Kafka", &["server.properties"]);
        command.stdin(Stdio::null()).stdout(output.try_clone().map_err(Failure::at("dup"))?).stderr(output);
        let process = command.spawn().map_err(Failure::at("java"))?;
        let kafka = Kafka { process, bootstrap };
        match tools.run("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &kafka.bootstrap, "--list"]) {
            Ok(()) => Ok(kafka),
            Err(error) => Err(Failure(format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default()))),
        }
    }
}

impl Drop for Kafka {
    /// Killed, not asked: nobody will open its data again.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Tools {
    jars: PathBuf,
    dir: PathBuf,
}

impl Tools {
    fn run(&self, class: &str, arguments: &[&str]) -> Result<()> {
        let limit_s = START_LIMIT_S.to_string();
        child::quiet(self.command(&["setpriv", "--pdeathsig", "TERM", "timeout", &limit_s], class, arguments))
    }

    /// One heap size and the quickest compiler: functional tests on two cores want a short start.
    fn command(&self, before: &[&str], class: &str, arguments: &[&str]) -> Command {
        let mut class_path = OsString::from(&self.jars);
        class_path.push("/*");
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).args([
            "java",
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
        ]);
        command
            .args(["-Dlog4j2.configurationFile=log4j2.properties", "-cp"])
            .arg(class_path)
            .arg(class)
            .args(arguments);
        command.current_dir(&self.dir);
        command
    }
}

/// Ports that were free a moment ago; both are held until both are known, so that they differ.
fn free_ports() -> Result<[u16; 2]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::at("127.0.0.1"));
    let port =
        |listener: &TcpListener| listener.local_addr().map(|address| address.port()).map_err(Failure::at("port"));
    let (first, second) = (bind()?, bind()?);
    Ok([port(&first)?, port(&second)?])
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Failure::at(path.display()))
}
