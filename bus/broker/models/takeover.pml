/* Owners and take-over: who may write a partition while publishers release, die, stop, hang up, stand by, are killed and
 * renew their epoch, and the broker dies at any step and is started again. bus/broker/src/partition/owner.rs, granting.rs
 * and renewing.rs are what it is a model of; tests/models.rs checks it, and tools/xtask/controls.toml breaks it.
 *
 * A process that is stopped is one that takes no step, so it needs no step of its own. Messages between a publisher and the
 * broker are single: each waits for the answer to the last. What the kernel knows (who maps what) outlives everybody's
 * ignorance; what the broker knows dies with it, but for the store and the `epochs` file.
 *
 * Held: nobody writes an epoch that has ended; a ring is mapped by nobody but its owner; no epoch is granted twice, and
 * none before the last has ended; who is killed owns the epoch that was named; whoever hands its ring over to renew, and
 * stays, is granted the next epoch before anybody else.
 */
#define PUBLISHERS 2
#define RINGS 4      /* made in all */
#define DEATHS 2     /* of publishers of themselves */
#define CRASHES 2    /* of the broker */
#define RENEWALS 1

#define NOTHING 0
#define ASK 1
#define MAPPED 2
#define RELEASE 3
#define RECLAIM 4
#define WITHDRAW 5

#define COLD 1
#define OFFERED 2
#define WARM 3

/* Publishers, as they are. */
bool connected[PUBLISHERS];
bool broken[PUBLISHERS];        /* a connection is gone, and the broker has not seen it yet */
byte maps[PUBLISHERS];          /* the ring mapped for writing; 0: none */
byte owns[PUBLISHERS];          /* the epoch that it takes for its own; 0: none */
byte said[PUBLISHERS];          /* on its way to the broker */
byte offered[PUBLISHERS];       /* on its way from the broker: a ring */
byte granted[PUBLISHERS];       /* on its way from the broker: an epoch */
bool waits[PUBLISHERS];         /* it has asked */
byte beside[PUBLISHERS];        /* the ring that an owner has mapped for its next epoch; 0: none */
byte unasked[PUBLISHERS];       /* on its way from the broker: that ring */
bool hand_over[PUBLISHERS];     /* and what comes when it is mapped */
bool between[PUBLISHERS];       /* it has handed its ring over, and waits */
byte deaths;

/* On disk, and in the store. */
byte durable;                   /* the newest epoch in the file */
byte stored[RINGS + 2];         /* the ring of an epoch */

/* The broker, in this life. */
bool up = true;
bool leaving;                   /* the newest epoch's owner is out of sight, or has released */
byte owner;                     /* a publisher's number and 1; 0: nobody in sight */
byte standby[PUBLISHERS];
byte ring_of[PUBLISHERS];
bool renews[PUBLISHERS];        /* the standby is the owner */
byte granting;                  /* to whom, and 1; 0: nobody */
bool is_stored;                 /* and how far that has come */
bool is_durable;
byte crashes;
byte made;                      /* rings so far */
byte renewals;
byte named;                     /* the epoch whose owner somebody wants killed */

/* What is held. */
bool ended[RINGS + 2];          /* readers were told so */
byte grants[RINGS + 2];

#define is_free(ring) (maps[0] != (ring) && maps[1] != (ring) && beside[0] != (ring) && beside[1] != (ring))
#define vacant (up && owner == 0 && !leaving && granting == 0)

inline renew_no_more(p) {
    beside[p] = 0; hand_over[p] = false; between[p] = false; unasked[p] = 0
}

inline leave(p) {
    standby[p] = 0; ring_of[p] = 0; renews[p] = false
}

inline die(p) {
    renew_no_more(p);
    broken[p] = broken[p] || connected[p]; connected[p] = false; maps[p] = 0; owns[p] = 0; said[p] = NOTHING; offered[p] = 0; granted[p] = 0; waits[p] = false
}

/* The end of a conversation: what was under way is lost, and whoever does not own unmaps. */
inline lose(p) {
    renew_no_more(p);
    broken[p] = broken[p] || connected[p]; connected[p] = false; said[p] = NOTHING; offered[p] = 0; granted[p] = 0; waits[p] = false;
    if :: owns[p] == 0 -> maps[p] = 0 :: else fi
}

proctype publisher(byte p) {
end:
    do
    :: atomic { up && !connected[p] -> connected[p] = true; if :: owns[p] -> said[p] = RECLAIM :: else fi }
    /* What is left of a renewal goes by a correlation of its own; here the one waits for the other. */
    :: atomic { connected[p] && !owns[p] && !waits[p] && !standby[p] && !granted[p] && said[p] == NOTHING -> waits[p] = true; said[p] = ASK }
    :: atomic { offered[p] -> maps[p] = offered[p]; offered[p] = 0; said[p] = MAPPED }
    /* An owner writes on. */
    :: atomic { unasked[p] && !granted[p] && said[p] == NOTHING ->
        if :: owns[p] -> beside[p] = unasked[p]; said[p] = MAPPED :: else fi;
        unasked[p] = 0 }
    :: atomic { hand_over[p] && said[p] == NOTHING -> hand_over[p] = false; between[p] = true;
        maps[p] = beside[p]; beside[p] = 0; owns[p] = 0; waits[p] = true; said[p] = RELEASE }
    :: atomic { granted[p] && maps[p] -> owns[p] = granted[p]; granted[p] = 0; waits[p] = false; between[p] = false }
    /* It has crossed a withdrawal, or a release: given back. */
    :: atomic { granted[p] && !maps[p] && said[p] == NOTHING -> granted[p] = 0; waits[p] = false; said[p] = RELEASE }
    /* It writes. */
    :: atomic { owns[p] -> assert(!ended[owns[p]]); assert(maps[p] == stored[owns[p]]) }
    /* It releases: unmapped first. */
    :: atomic { owns[p] && connected[p] && said[p] == NOTHING -> maps[p] = 0; owns[p] = 0; renew_no_more(p); said[p] = RELEASE }
    :: atomic { waits[p] && !between[p] && maps[p] && said[p] == NOTHING -> maps[p] = 0; said[p] = WITHDRAW }
    /* Its connection breaks, and it lives on. */
    :: atomic { connected[p] && deaths < DEATHS -> deaths++; lose(p) }
    :: atomic { deaths < DEATHS -> deaths++; die(p) }
    od
}

inline hear(p) {
    if
    :: said[p] == ASK -> standby[p] = COLD
    /* The correlation says which offer it means. */
    :: said[p] == MAPPED && standby[p] == OFFERED && maps[p] == ring_of[p] -> standby[p] = WARM
    :: said[p] == MAPPED && standby[p] == OFFERED && beside[p] == ring_of[p] -> standby[p] = WARM; hand_over[p] = true
    :: said[p] == MAPPED && owns[p] && beside[p] != ring_of[p] -> beside[p] = 0
    :: said[p] == RELEASE && owner == p + 1 -> owner = 0; leaving = true
    :: said[p] == RECLAIM ->
        if
        :: leaving && !ended[durable] && owns[p] == durable -> leaving = false; owner = p + 1
        :: else -> owns[p] = 0; maps[p] = 0
        fi
    :: said[p] == WITHDRAW ->
        if
        :: standby[p] -> leave(p); waits[p] = false
        :: else     /* granted meanwhile: given back when that is heard */
        fi
    :: else
    fi;
    said[p] = NOTHING
}

/* A ring for who has none: never one that somebody was offered before. */
inline offer(p) {
    made++; standby[p] = OFFERED; ring_of[p] = made;
    if :: renews[p] -> unasked[p] = made :: else -> offered[p] = made fi
}

inline hang_up(p) {
    if :: owner == p + 1 -> owner = 0; leaving = true :: else fi;
    leave(p); broken[p] = false
}

inline kill_owner() {
    /* It may have released, and not have been heard. */
    assert(owns[owner - 1] == named || granted[owner - 1] == named || owns[owner - 1] == 0 && granted[owner - 1] == 0);
    die(owner - 1)
}

#define warm_beside(p) (standby[1 - (p)] == WARM)

proctype broker() {
    byte p;
end:
    do
    :: atomic { up && granting == 0 -> select(p : 0 .. PUBLISHERS - 1);
        if
        :: broken[p] -> hang_up(p)
        :: said[p] != NOTHING && !broken[p] -> hear(p)
        :: !broken[p] && standby[p] == COLD && made < RINGS -> offer(p)
        :: vacant && standby[p] == WARM && !(renews[1 - p] && standby[1 - p] == WARM) -> granting = p + 1
        /* Somebody has the owner renew its epoch; where it does not answer, the offer is taken back. */
        :: owner == p + 1 && !leaving && !standby[p] && renewals < RENEWALS -> renewals++; renews[p] = true; standby[p] = COLD
        :: renews[p] && standby[p] == OFFERED -> leave(p)
        :: else
        fi;
        p = 0 }
    /* The kernel's proof. */
    :: atomic { up && leaving && is_free(stored[durable]) -> leaving = false; ended[durable] = true;
        for (p : 0 .. PUBLISHERS - 1) { if :: renews[p] && standby[p] != WARM -> leave(p) :: else fi }
        p = 0 }
    /* A grant, step by step; the ring's head is written before the first. */
    :: atomic { up && granting && !is_stored -> stored[durable + 1] = ring_of[granting - 1]; is_stored = true }
    :: atomic { up && granting && is_stored && !is_durable -> durable++; is_durable = true }
    :: atomic { up && is_durable ->
        p = granting - 1;
        assert(durable == 1 || ended[durable - 1]);
        assert(is_free(ring_of[p]) || maps[p] == ring_of[p]);
        grants[durable]++;
        assert(grants[durable] == 1);
        assert(!between[1 - p] || broken[1 - p]);
        if :: !broken[p] -> granted[p] = durable :: else fi;
        owner = p + 1; leave(p);
        granting = 0; is_stored = false; is_durable = false; p = 0 }
    /* Somebody names the epoch that is to be ended, and some time later that is heard. */
    :: atomic { up && named == 0 && owner -> named = durable }
    :: atomic { up && named && granting == 0 ->
        if
        :: owner && durable == named && warm_beside(owner - 1) -> kill_owner()
        :: else
        fi;
        named = 0 }
    /* It dies, and is started again with what is on disk and in the store. */
    :: atomic { up && crashes < CRASHES ->
        crashes++; up = false; owner = 0; leaving = false; granting = 0; is_stored = false; is_durable = false;
        named = 0;
        for (p : 0 .. PUBLISHERS - 1) { lose(p); leave(p); broken[p] = false }
        p = 0 }
    :: atomic { !up -> up = true; stored[durable + 1] = 0; leaving = (durable > 0 && !ended[durable]) }
    od
}

init {
    byte p;
    atomic {
        for (p : 0 .. PUBLISHERS - 1) { run publisher(p) }
        run broker()
    }
}
