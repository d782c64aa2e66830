//! Standbys: warm, in order, granted when the kernel has proven the owner gone; and owners that are killed for them.

use oyez_protocol::{FailureCode, Message, Refusal};
use oyez_ring::{Epoch, State};
use rustix::process::Signal;

use crate::house::{House, signal};
use crate::peer::{Peer, until};

/// Topics that take up to two warm standbys; the owner of one may be killed.
fn house() -> House {
    let topic = |name: &str, more: &str| {
        format!("[[topics]]\nname = \"{name}\"\nring_mib = 2\nstandbys = 2\npublish = [\"self\"]\n{more}\n")
    };
    let topics = [topic("md", "takeover = \"kill\""), topic("kept", ""), topic("scratch", "recorded = false")];
    House::with("segment_mib = 4\nstop_timeout_ms = 2000\n", &topics.concat())
}

fn stand_by(topic: &str) -> Message {
    Message::OpenPublisher { partition: 0, standby: true, topic: topic.into() }
}

#[test]
fn a_standby_goes_on_where_the_owner_released_and_nobody_comes_in_between() {
    let house = house();
    for topic in ["md", "scratch"] {
        let mut owned = house.peer("owner").own(topic);
        owned.publish_all(100);
        let warm = house.peer("standby").stand_by(topic);
        owned.publish_all(100);
        owned.release();
        let mut next = warm.own();
        assert_eq!((next.epoch, next.publish().0), (Epoch(2), 200), "{topic}");
        let answer = house.peer("late").open_publisher(topic).packet.message;
        assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Taken, .. }), "{answer:?}");
        // What is granted early is sealed and stored like any ring.
        let mut reader = house.peer("reader");
        reader.subscribe(topic);
        assert_eq!(reader.open_epoch(topic, 2).messages(), [200]);
    }
    house.kill_broker();
    assert_eq!(house.peer("next").own("md").epoch, Epoch(3));
}

#[test]
fn standbys_go_on_in_the_order_of_arrival_and_those_without_a_ring_wait_for_one() {
    let house = house();
    let owned = house.peer("owner").own("md");
    let warm: Vec<_> = ["first", "second"].map(|name| house.peer(name).stand_by("md")).into();
    // The third is cold: memory is counted for two.
    let mut third = house.peer("third");
    third.say(stand_by("md"));
    assert!(matches!(third.connection().try_receive(), Ok(None)));
    owned.release();
    for (warm, epoch) in warm.into_iter().zip(2..) {
        let next = warm.own();
        assert_eq!(next.epoch, Epoch(epoch));
        next.release();
    }
    let offer = third.hear();
    assert_eq!(third.accept("md", offer).epoch, Epoch(4));
}

#[test]
fn a_standby_that_dies_or_withdraws_or_does_not_answer_holds_nobody_up() {
    let house = house();
    let owned = house.peer("owner").own("md");
    drop(house.peer("dying").stand_by("md"));
    let mut withdrawn = house.peer("withdrawing").stand_by("md");
    withdrawn.peer.say(Message::Withdraw { partition: 0, topic: "md".into() });
    let answer = withdrawn.peer.hear().packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Withdrawn, .. }), "{answer:?}");
    let mut silent = house.peer("silent");
    silent.say(stand_by("md"));
    let offer = silent.hear();
    let warm = house.peer("standby").stand_by("md");
    owned.release();
    assert_eq!(warm.own().epoch, Epoch(2));
    drop(offer);
}

#[test]
fn a_standby_that_scribbles_before_its_grant_is_broken_and_the_next_goes_on() {
    let house = house();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(10);
    let hostile = house.peer("hostile").stand_by("md");
    let next = house.peer("standby").stand_by("md");
    // All but the head's own words are what no honest writer leaves there.
    (1_024..2 << 20).step_by(8).for_each(|offset| hostile.ring.0.store(offset, u64::MAX));
    hostile.ring.0.store(96, 7);
    owned.release();
    let hostile = hostile.own();
    let opened = reader.open_epoch("md", 2);
    until("the verdict", || (opened.control.state() == State::Broken).then_some(()));
    assert_eq!(opened.control.end(), Some(hostile.writer.tail().position));
    drop(hostile);
    let mut next = next.own();
    assert_eq!((next.epoch, next.publish().0), (Epoch(3), 10));
}

#[test]
fn an_owner_that_unmaps_without_a_word_is_found_out() {
    let house = house();
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(3);
    let warm = house.peer("standby").stand_by("md");
    let crate::peer::Owned { peer: _connected, writer, .. } = owned;
    drop(writer);
    let next = warm.own();
    assert_eq!((next.epoch, next.writer.tail().sequence.0), (Epoch(2), 3));
}

#[test]
fn so_many_wait_for_a_partition_and_no_more() {
    let house = house();
    let owned = house.peer("owner").own("md");
    let waiting: Vec<Peer> = (0..16)
        .map(|_| {
            let mut peer = house.peer("standby");
            peer.say(stand_by("md"));
            peer
        })
        .collect();
    assert_eq!(house.peer("one more").refusal(stand_by("md")).0, FailureCode::TooManyRequests);
    let mut twice = house.peer("twice");
    twice.say(stand_by("kept"));
    assert!(matches!(twice.hear().packet.message, Message::RingOffer { .. }));
    assert_eq!(twice.refusal(stand_by("kept")).0, FailureCode::TooManyRequests);
    drop((waiting, owned));
}

#[test]
fn standbys_are_told_when_the_broker_stops() {
    let mut house = house();
    let owned = house.peer("owner").own("md");
    let warm = house.peer("standby").stand_by("md");
    signal(house.keeper.id(), Signal::TERM);
    let told = until("the word", || match warm.peer.hear().packet.message {
        Message::Failure { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(told, FailureCode::Closing);
    drop(owned);
    assert_eq!(house.keeper.wait().code(), Some(0));
}

#[test]
fn a_stopped_owner_is_killed_for_a_standby_and_nothing_committed_is_lost() {
    let house = house();
    let mut owner = house.child("own", &["md", "500"]);
    owner.line(&["published"]);
    let warm = house.peer("standby").stand_by("md");
    signal(owner.id(), Signal::STOP);
    let answer = house.peer("operator").ask(take_over("md", 1)).packet.message;
    let Message::OwnerKilled { pid, ref holder, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((pid, holder.as_str()), (owner.id(), "owner"));
    let mut next = warm.own();
    assert_eq!((next.epoch, next.publish().0), (Epoch(2), 500));
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(owner.wait().signal(), Some(Signal::KILL.as_raw()));
    house.keeper.line(&["md/0 epoch 1", "killed", "takes over"]);
}

#[test]
fn an_owner_that_was_stopped_when_the_broker_died_is_found_by_its_ring() {
    let house = house();
    let mut owner = house.child("own", &["md", "50"]);
    owner.line(&["published"]);
    signal(owner.id(), Signal::STOP);
    house.kill_broker();
    let warm = house.peer("standby").stand_by("md");
    let answer = house.peer("operator").ask(take_over("md", 1)).packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Ending, .. }), "{answer:?}");
    let mut next = warm.own();
    assert_eq!((next.epoch, next.publish().0), (Epoch(2), 50));
    house.keeper.line(&["killed for a standby", &format!("[{}]", owner.id())]);
    assert!(!owner.wait().success());
}

fn take_over(topic: &str, epoch: u32) -> Message {
    Message::TakeOver { partition: 0, epoch: Epoch(epoch), topic: topic.into() }
}

#[test]
fn nobody_is_killed_for_whom_the_catalog_or_another_epoch_or_the_lack_of_a_standby_speaks() {
    let house = house();
    let mut owners = ["md", "kept"].map(|topic| house.child("own", &[topic, "5"]));
    owners.iter().for_each(|owner| drop(owner.line(&["published"])));
    let mut operator = house.peer("operator");
    assert_eq!(operator.refusal(take_over("md", 1)).0, FailureCode::NoStandby);
    // Cold is not warm.
    let mut cold = house.peer("cold");
    cold.say(stand_by("md"));
    let offer = cold.hear();
    assert_eq!(operator.refusal(take_over("md", 1)).0, FailureCode::NoStandby);
    drop((cold, offer));
    let _warm = ["md", "kept"].map(|topic| house.peer("standby").stand_by(topic));
    assert_eq!(operator.refusal(take_over("md", 2)).0, FailureCode::EpochEnded);
    assert_eq!(operator.refusal(take_over("kept", 1)).0, FailureCode::TakeOverDenied);
    assert_eq!(operator.state("md"), ("owned".into(), owners[0].id()));
    assert_eq!(operator.state("kept"), ("owned".into(), owners[1].id()));
    owners.iter_mut().for_each(|owner| owner.kill());
}
