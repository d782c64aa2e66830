//! What the lane relies on in the client library.

use oyez::{Binding, Bus, Durability, EventKind, Start, Topic};
use oyez_gateway::{BusFeed, Feed, FeedError};

#[test]
fn subscriber_tells_the_position_that_a_publisher_waits_for() {
    let bus = Bus::in_process(&[Topic::new("md")]).expect("a bus");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("subscribes");
    let mut publisher = bus.publisher("md").open().expect("publishes");
    let oyez::Offer::Published(published) = publisher.offer(b"header and body").expect("is taken") else {
        panic!("back-pressured");
    };
    let mut told = None;
    for _ in 0..1000 {
        let each = |event: oyez::Event<'_>| {
            if let EventKind::Message(message) = event.kind {
                told = Some(message.position);
            }
        };
        subscriber.poll(16, each).expect("reads");
    }
    assert_eq!(told, Some(published.position));
    assert_eq!(publisher.position(Durability::Published).expect("is known"), published.position, "its end");
}

#[test]
fn topic_that_is_not_kept_durable_is_refused() {
    let bus = Bus::in_process(&[Topic::new("md")]).expect("a bus");
    let Err(FeedError::Failed(told)) = BusFeed::new(bus.clone(), "md").seek(0) else { panic!("opens") };
    assert!(told.contains("topic md keeps messages published, not durable"), "{told}");
    let Err(FeedError::Failed(told)) = BusFeed::new(bus, "nope").seek(0) else { panic!("opens") };
    assert!(told.contains("nope"), "{told}");
}

#[test]
fn what_was_published_before_the_lowest_version_was_raised_is_carried() {
    let binding = Binding { schema_id: 7, version_min: 3, version_max: 5, template_ids: vec![1] };
    let topic = Topic::new("md").binding(binding.clone());
    let mut feed = BusFeed::new(Bus::in_process(&[topic]).expect("a bus"), "md");
    assert_eq!(feed.binding(), Ok(Some(Binding { version_min: 0, ..binding })));
    let mut any = BusFeed::new(Bus::in_process(&[Topic::new("md")]).expect("a bus"), "md");
    assert_eq!(any.binding(), Ok(None));
}
