//! A catalog as a Mermaid flowchart: from those who may publish, by the topics, to Kafka's clusters and those who may
//! subscribe. Users and groups are told by number, as the broker knows them.

use std::fmt::{Display, Formatter};

use oyez_broker::catalog::{Catalog, Topic};
use oyez_protocol::Durability;
use serde::Serialize;

/// Mermaid's text.
#[derive(Serialize)]
pub(super) struct Drawing {
    mermaid: String,
}

/// Nodes of one kind, numbered as they come.
struct Nodes<T>(Vec<T>);

impl<T: PartialEq> Nodes<T> {
    fn number(&mut self, node: T) -> usize {
        self.0.iter().position(|known| *known == node).unwrap_or_else(|| {
            self.0.push(node);
            self.0.len() - 1
        })
    }
}

impl Drawing {
    pub(super) fn of(catalog: &Catalog) -> Drawing {
        let (mut publishers, mut subscribers) = (Nodes(Vec::new()), Nodes(Vec::new()));
        let (mut clusters, mut kafka_topics) = (Nodes(Vec::new()), Nodes(Vec::new()));
        let (mut nodes, mut arrows) = (Vec::new(), Vec::new());
        for (topic, declared) in catalog.topics.iter().enumerate() {
            nodes.push(format!("topic{topic}[\"{}\"]", label(declared)));
            for right in &declared.publish {
                arrows.push(format!("publisher{} --> topic{topic}", publishers.number(*right)));
            }
            for lane in &declared.lanes {
                let cluster = clusters.number((&lane.cluster, &lane.bootstrap));
                let kafka_topic = kafka_topics.number((cluster, &lane.kafka_topic));
                arrows.push(format!("topic{topic} -- lane --> kafka{kafka_topic}"));
            }
            for right in &declared.subscribe {
                arrows.push(format!("topic{topic} --> subscriber{}", subscribers.number(*right)));
            }
        }
        let people = |kind: &str, rights: &Nodes<_>| -> Vec<String> {
            rights.0.iter().enumerate().map(|(at, right)| format!("{kind}{at}([\"{kind} {right}\"])")).collect()
        };
        nodes.splice(0..0, people("publisher", &publishers));
        for (cluster, (name, bootstrap)) in clusters.0.iter().enumerate() {
            nodes.push(format!("subgraph cluster{cluster}[\"Kafka {name}: {}\"]", quoted(bootstrap)));
            let of_cluster = kafka_topics.0.iter().enumerate().filter(|(_, (of, _))| *of == cluster);
            nodes.extend(of_cluster.map(|(at, (_, topic))| format!("    kafka{at}[(\"{topic}\")]")));
            nodes.push("end".to_owned());
        }
        nodes.extend(people("subscriber", &subscribers));
        let lines: String = nodes.iter().chain(&arrows).map(|line| format!("    {line}\n")).collect();
        Drawing { mermaid: format!("---\ntitle: {}\n---\nflowchart LR\n{}", catalog.name, lines.trim_end()) }
    }
}

impl Display for Drawing {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.mermaid)
    }
}

fn label(topic: &Topic) -> String {
    let kept = match topic.durability {
        Durability::Published => "unrecorded".to_owned(),
        Durability::Written => format!("written, {} h", topic.retention.as_secs() / 3_600),
        Durability::Durable => format!("durable, {} h", topic.retention.as_secs() / 3_600),
    };
    let partitions = if topic.partitions == 1 { String::new() } else { format!("{} partitions, ", topic.partitions) };
    let schema = topic.schema.as_ref().map_or_else(String::new, |schema| format!("<br>{}", schema.name));
    format!("<b>{}</b><br>{partitions}{kept}{}", topic.name, quoted(&schema))
}

/// Free text within Mermaid's quotes.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;").replace('\n', " ")
}
