//! Renewal as the broker sees it: an owner that answers at each step, one that does not, and one that dies there.

use oyez_protocol::{CORRELATION_OF_BROKER, FailureCode, Message, Received, Refusal};
use oyez_ring::{Epoch, State};
use rustix::process::{Signal, Uid};
use std::os::unix::fs::PermissionsExt as _;

use crate::catalog::{applied, ask, edit};
use crate::house::{House, signal};
use crate::many::MANY;
use crate::peer::{Owned, Peer, Ring, until};

fn house() -> House {
    let topic =
        |name: &str, more: &str| format!("[[topics]]\nname = \"{name}\"\nring_mib = 2\npublish = [\"self\"]\n{more}\n");
    let topics = [topic("md", "standbys = 1"), topic("scratch", "recorded = false")];
    House::with("segment_mib = 4\nstop_timeout_ms = 2000\n", &topics.concat())
}

fn renew(topic: &str) -> Message {
    Message::Renew { partition: 0, topic: topic.into() }
}

/// Who asks, and has not been answered yet.
fn operator(house: &House, topic: &str) -> Peer {
    let mut operator = house.peer("operator");
    operator.say(renew(topic));
    operator
}

fn not_renewed(operator: &Peer) -> String {
    match operator.hear().packet.message {
        Message::Failure { code: FailureCode::NotRenewed, text } => text,
        other => panic!("{other:?}"),
    }
}

fn offered(owned: &Owned) -> Received {
    let offer = owned.peer.hear();
    assert!(offer.packet.correlation >= CORRELATION_OF_BROKER, "nobody asked");
    offer
}

/// An owner that is to hand its ring over, and what it goes on with; behind who asked for it.
fn handing_over(house: &House) -> (Peer, Owned, (Ring, u64)) {
    let owned = house.peer("owner").own("md");
    let operator = operator(house, "md");
    let offer = offered(&owned);
    let (owned, beside) = owned.map_beside(offer);
    (operator, owned, beside)
}

#[test]
fn an_owner_goes_on_in_its_next_epoch_before_a_warm_standby_and_readers_follow() {
    let house = house();
    for topic in ["md", "scratch"] {
        let mut reader = house.peer("reader");
        reader.subscribe(topic);
        let mut owned = house.peer("owner").own(topic);
        owned.publish_all(10);
        let warm = (topic == "md").then(|| house.peer("standby").stand_by(topic));
        for epoch in 2..=4 {
            let operator = operator(&house, topic);
            let offer = offered(&owned);
            // It publishes on for as long as it has its ring.
            owned.publish_all(5);
            owned = owned.hand_over(offer);
            assert_eq!(owned.epoch, Epoch(epoch), "{topic}");
            let answer = operator.hear().packet.message;
            assert_eq!(answer, Message::Renewed { epoch: Epoch(epoch) });
            owned.publish_all(5);
            assert_eq!(reader.open_epoch(topic, epoch).messages().len(), 5);
        }
        if let Some(warm) = warm {
            owned.release();
            let mut next = warm.own();
            assert_eq!((next.epoch, next.publish().0), (Epoch(5), 40));
        }
    }
    house.kill_broker();
    assert_eq!(house.peer("next").own("md").epoch, Epoch(6));
}

/// An owner of an older build, or one that is stopped: nothing is taken from it.
#[test]
fn an_owner_that_does_not_answer_owns_on_and_that_is_reported() {
    let house = house();
    let mut owned = house.peer("owner").own("md");
    let operator = operator(&house, "md");
    let text = not_renewed(&operator);
    assert!(text.contains("md/0 epoch 1: process") && text.contains("does not hand its ring over"), "{text}");
    house.keeper.line(&["not renewed: md/0 epoch 1: process"]);
    house.keeper.line(&["has not mapped what it was offered"]);
    owned.publish_all(20);
    assert_eq!(owned.writer.control().state(), State::Running);
    // It is asked anew, and only then answers: what it says of the former offer is not taken for the present one.
    let (former, answer) = (offered(&owned), self::operator(&house, "md"));
    let offer = offered(&owned);
    let mapped = Message::Mapped { partition: 0, topic: "md".into() };
    let told = owned.peer.answer(former.packet.correlation, mapped).packet.message;
    assert!(matches!(told, Message::Failure { code: FailureCode::NotOwner, .. }), "{told:?}");
    owned = owned.hand_over(offer);
    assert_eq!(answer.hear().packet.message, Message::Renewed { epoch: Epoch(2) });
    assert_eq!(owned.publish().0, 20);
}

#[test]
fn an_owner_that_has_mapped_its_ring_stays_asked() {
    let house = house();
    let (first, owned, beside) = handing_over(&house);
    assert!(not_renewed(&first).contains("stays asked"));
    let again = operator(&house, "md");
    let mut owned = owned.give_up(beside);
    assert_eq!(again.hear().packet.message, Message::Renewed { epoch: Epoch(2) });
    assert_eq!(owned.publish().0, 0);
}

/// The broker looks by itself whether a ring that somebody waits for is free; it may do so just behind the unmapping.
#[test]
fn an_owner_whose_ring_is_found_free_before_it_says_so_is_granted_all_the_same() {
    let house = house();
    for epoch in 1..=5 {
        let (operator, owned, beside) = handing_over(&house);
        let owned = owned.give_up_behind(beside, || {
            house.keeper.line(&[&format!("md/0 epoch {}: ended", 2 * epoch - 1)]);
        });
        assert_eq!(operator.hear().packet.message, Message::Renewed { epoch: Epoch(2 * epoch) });
        let Owned { mut peer, topic, epoch, writer } = owned;
        drop(writer);
        peer.say(Message::Release { partition: 0, epoch, topic });
        let next = peer.hear().packet.message;
        assert!(matches!(next, Message::Released { .. }), "its late word was no failure: {next:?}");
    }
}

#[test]
fn an_owner_that_dies_at_any_step_is_a_dead_owner() {
    let house = house();
    for (at, step) in ["offered", "mapped", "unmapped"].into_iter().enumerate() {
        let mut owned = house.peer("owner").own("md");
        owned.publish_all(7);
        let warm = house.peer("standby").stand_by("md");
        let operator = operator(&house, "md");
        let offer = offered(&owned);
        match step {
            "offered" => drop((owned, offer)),
            "mapped" => drop(owned.map_beside(offer)),
            _ => {
                let (Owned { peer, writer, .. }, beside) = owned.map_beside(offer);
                drop(writer);
                drop((peer, beside));
            }
        }
        let text = not_renewed(&operator);
        assert!(text.contains("is gone"), "{step}: {text}");
        let mut next = warm.own();
        assert_eq!(next.publish().0, 8 * at as u64 + 7, "{step}");
        next.release();
    }
}

#[test]
fn an_owner_that_released_before_it_mapped_renews_nothing() {
    let house = house();
    let owned = house.peer("owner").own("md");
    let operator = operator(&house, "md");
    let offer = offered(&owned);
    let mut former = owned.release();
    assert!(not_renewed(&operator).contains("is gone"));
    assert_eq!(former.refusal(Message::Mapped { partition: 0, topic: "md".into() }).0, FailureCode::NotOwner);
    drop(offer);
    assert_eq!(house.peer("next").own("md").epoch, Epoch(2));
}

#[test]
fn a_stopped_owner_is_not_forced() {
    let house = house();
    let owner = house.child("own", &["md", "50"]);
    owner.line(&["published"]);
    signal(owner.id(), Signal::STOP);
    assert!(not_renewed(&operator(&house, "md")).contains(&format!("process {}", owner.id())));
    assert_eq!(house.peer("operator").state("md"), ("owned".into(), owner.id()));
    let answer = house.peer("late").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Taken, .. }), "{answer:?}");
    signal(owner.id(), Signal::CONT);
}

#[test]
fn only_the_brokers_own_user_and_root_have_an_owner_renew_its_epoch() {
    let house = house();
    let mut operator = house.peer("operator");
    let (code, text) = operator.refusal(renew("md"));
    assert!(code == FailureCode::NotRenewed && text.contains("nobody owns"), "{text}");
    assert_eq!(operator.refusal(renew("nothing")).0, FailureCode::UnknownTopic);
    let _owned = house.peer("owner").own("md");
    operator.say(renew("md"));
    let (code, text) = operator.refusal(renew("md"));
    assert!(code == FailureCode::TooManyRequests && text.contains("you have asked"), "one at a time: {text}");
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED only_the_brokers_own_user: needs root, which can become another user");
    }
    let folder = house.socket.parent().expect("a folder");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).expect("ours");
    let other = std::thread::scope(|scope| {
        let connect = || {
            // This thread alone; it connects, and that is whom the kernel tells the broker of.
            rustix::thread::set_thread_uid(Uid::from_raw(65_534)).expect("root may");
            house.peer("other").refusal(renew("md"))
        };
        scope.spawn(connect).join().expect("an answer")
    });
    assert_eq!(other.0, FailureCode::RenewDenied);
}

#[test]
fn an_owner_that_loses_its_right_in_the_middle_is_gone() {
    let house = house();
    let (operator, owned, beside) = handing_over(&house);
    edit(&house, "publish = [\"self\"]\nstandbys = 1", "publish = []\nstandbys = 1");
    applied(&house);
    assert!(not_renewed(&operator).contains("is gone"));
    drop((owned, beside));
    // Nothing of it stands against the topic's going.
    edit(&house, "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = []\nstandbys = 1\n", "");
    until("the topic to go", || ask(&house, &house.catalog, true).applied.then_some(()));
}

#[test]
fn a_topic_of_many_publishers_is_the_brokers_own_and_not_renewed() {
    let house = House::with("segment_mib = 4\n", MANY);
    until("the broker to own it", || (house.peer("viewer").state("many").0 == "owned").then_some(()));
    assert!(not_renewed(&operator(&house, "many")).contains("many/0, which the broker itself owns"));
}

#[test]
fn a_broker_that_stops_in_the_middle_ends_everything_in_order() {
    let mut house = house();
    let (_operator, owned, beside) = handing_over(&house);
    signal(house.keeper.id(), Signal::TERM);
    until("the word", || matches!(owned.peer.hear().packet.message, Message::Closing {}).then_some(()));
    drop(beside);
    owned.release();
    assert_eq!(house.keeper.wait().code(), Some(0));
}
