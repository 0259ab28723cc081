//! What a peer is asked, and what is made of what it tells.

use super::*;
use crate::domain::Domain;

fn pair() -> DomainPair {
    let domain = |text| Domain::parse(text).expect("a domain");
    DomainPair::new(domain("contoso.test"), domain("fabrikam.test"))
}

#[test]
fn a_count_is_news_once_and_never_more_than_was_written() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 5);
    assert!(acks.question(now, &pair()).is_some());
    assert!(acks.question(now, &pair()).is_none(), "one at a time");
    assert_eq!(acks.counted(now, 3), Some(3));
    assert_eq!(acks.counted(now, 3), None);
    assert_eq!(acks.counted(now, 2), None, "it goes back");
    assert_eq!(acks.counted(now, 6), None, "more than was written");
    assert_eq!(acks.counted(now, 5), Some(5));
    assert!(acks.question(now, &pair()).is_none(), "nothing is open");
}

#[test]
fn what_came_of_a_piece_counts_before_all_of_it_is_out() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 5);
    assert!(acks.question(now, &pair()).is_some());
    assert!(acks.leave(now, 10, &pair()).is_none(), "it has never answered");
    assert_eq!(acks.counted(now, 16), None, "more than begins to be written");
    assert_eq!(acks.counted(now, 8), Some(8));
    assert!(acks.question(now, &pair()).is_none(), "the peer has all that is out");
    acks.wrote(now, 10);
    assert!(acks.question(now + SPACE, &pair()).is_some(), "that was news");
    assert_eq!(acks.counted(now, 15), Some(15));
    assert_eq!(acks.counted(now, 16), None, "nothing leaves any more");
}

#[test]
fn one_that_has_answered_is_asked_right_behind_what_leaves() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, 1);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.answered("taken-1"), Some(1));
    let question = acks.leave(now + SPACE, 4, &pair()).expect("a question");
    assert!(String::from_utf8_lossy(&question).contains("id='taken-5'"));
    acks.wrote(now, 4);
    assert!(acks.question(now, &pair()).is_none(), "it is asked already");
    assert!(acks.leave(now, 1, &pair()).is_none(), "one is open, and this is little");
    assert_eq!(acks.answered("taken-5"), Some(5));
    assert!(acks.question(now, &pair()).is_none(), "the peer has all that is out");
    acks.wrote(now, 1);
    assert!(acks.question(now + 2 * SPACE, &pair()).is_some());
}

#[test]
fn a_question_is_as_old_as_what_it_is_behind_is_out() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 1);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.counted(now, 1), Some(1));
    assert!(acks.leave(now + SPACE, 3, &pair()).is_some());
    assert_eq!(acks.deadline(true), None, "it can't be forgotten before it is out");
    assert!(acks.question(now + 2 * FORGOTTEN, &pair()).is_none());
    acks.wrote(now + 2 * FORGOTTEN, 3);
    assert_eq!(acks.deadline(true), Some(now + 3 * FORGOTTEN));
    assert!(acks.question(now + 2 * FORGOTTEN, &pair()).is_none());
    assert_eq!(acks.counted(now + 2 * FORGOTTEN, 4), Some(4));
}

#[test]
fn a_slow_peer_is_asked_again_before_it_has_answered() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, SPAN);
    assert!(acks.question(now, &pair()).is_some());
    acks.wrote(now, SPAN);
    assert!(acks.question(now, &pair()).is_none(), "it may be one that never answers");
    assert_eq!(acks.answered("taken-64"), Some(64));
    for written in [128, 192] {
        assert!(acks.question(now, &pair()).is_some(), "for {written}");
        acks.wrote(now, SPAN - 1);
        assert!(acks.question(now, &pair()).is_none(), "too little");
        acks.wrote(now, 1);
    }
    assert_eq!(acks.answered("taken-192"), Some(192), "an answer covers what was asked before");
    assert_eq!(acks.answered("taken-128"), None);
}

#[test]
fn one_that_has_nothing_new_is_asked_again_a_little_later() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 5);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.counted(now, 0), None);
    assert!(acks.question(now, &pair()).is_none());
    assert_eq!(acks.deadline(true), Some(now + AGAIN));
    assert!(acks.question(now + AGAIN, &pair()).is_some());
    assert_eq!((acks.counted(now + AGAIN, 5), acks.deadline(true)), (Some(5), None));
}

#[test]
fn one_that_answers_soon_is_not_asked_about_each_stanza() {
    for mut acks in [Acks::counting(), Acks::barrier(DECLARED)] {
        let now = Instant::now();
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_some());
        assert_eq!(acks.counted(now, 1).or(acks.answered("taken-1")), Some(1));
        assert!(acks.leave(now, 1, &pair()).is_none());
        acks.wrote(now, 1);
        assert_eq!(acks.deadline(true), Some(now + SPACE), "nobody may wait for the next one");
        acks.wrote(now, SPAN - 1);
        assert!(acks.question(now, &pair()).is_some(), "so many are asked about at once");
        let all = SPAN + 1;
        let told = acks.counted(now, u32::try_from(all).expect("it is small"));
        assert_eq!(told.or(acks.answered(&format!("taken-{all}"))), Some(all));
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_none());
        assert!(acks.question(now + SPACE, &pair()).is_some());
    }
}

#[test]
fn an_answer_that_another_has_forestalled_delays_no_question() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 1);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.counted(now, 1), Some(1));
    for _ in 0..2 {
        acks.wrote(now, SPAN);
        assert!(acks.question(now, &pair()).is_some());
    }
    let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
    assert_eq!(acks.counted(now, all), Some(all.into()), "it had read both questions before it answered one");
    assert_eq!(acks.counted(now, all), None);
    acks.wrote(now, 1);
    assert!(acks.question(now + SPACE, &pair()).is_some());
}

#[test]
fn one_answer_may_be_for_several_questions() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 1);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.counted(now, 1), Some(1));
    for _ in 0..2 {
        acks.wrote(now, SPAN);
        assert!(acks.question(now, &pair()).is_some());
    }
    let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
    assert_eq!(acks.counted(now, all), Some(all.into()), "for both");
    acks.wrote(now, 1);
    assert!(acks.question(now + SPACE, &pair()).is_some(), "nothing is open");
    assert_eq!(acks.counted(now, all + 1), Some(u64::from(all) + 1));
}

#[test]
fn one_that_answers_several_questions_before_it_has_taken_all_is_asked_again() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 1);
    assert!(acks.question(now, &pair()).is_some());
    assert_eq!(acks.counted(now, 1), Some(1));
    for _ in 0..2 {
        acks.wrote(now, SPAN);
        assert!(acks.question(now, &pair()).is_some());
    }
    assert_eq!(acks.counted(now, 3), Some(3), "for both, it may be");
    assert!(acks.question(now, &pair()).is_none(), "it may be for the first only");
    assert_eq!(acks.deadline(true), Some(now + FORGOTTEN));
    assert!(acks.question(now + FORGOTTEN, &pair()).is_some());
    assert_eq!(acks.deadline(true), Some(now + 2 * FORGOTTEN), "not at once again");
    let all = 2 * u32::try_from(SPAN).expect("it is small") + 1;
    assert_eq!((acks.counted(now + FORGOTTEN, all), acks.deadline(true)), (Some(all.into()), None));
}

#[test]
fn counts_go_round_at_32_bits() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    let all = u64::from(u32::MAX) + 10;
    acks.wrote(now, all);
    assert_eq!(acks.counted(now, u32::MAX), Some(u64::from(u32::MAX)));
    assert_eq!(acks.counted(now, 9), Some(all));
}

#[test]
fn a_barrier_covers_what_was_written_before_it() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, 5);
    let question = acks.question(now, &pair()).expect("a question");
    assert!(String::from_utf8_lossy(&question).contains("id='taken-5'"));
    acks.wrote(now, 2);
    assert_eq!(acks.answered("taken-7"), None, "nobody asked that");
    assert_eq!(acks.answered("taken-5"), Some(5));
    assert!(acks.question(now + SPACE, &pair()).is_some(), "for the other two");
    assert_eq!(acks.answered("taken-7"), Some(7));
}

#[test]
fn a_peer_that_never_answers_is_believed() {
    for patience in [DECLARED, UNDECLARED] {
        let (mut acks, now) = (Acks::barrier(patience), Instant::now());
        acks.wrote(now, 5);
        acks.question(now, &pair());
        assert_eq!((acks.deadline(true), acks.tick(now)), (Some(now + patience), None));
        assert_eq!(acks.tick(now + patience), Some(5));
        assert_eq!(acks.deadline(true), None, "there is nothing to wait for");
        acks.wrote(now, 1);
        assert!(acks.question(now, &pair()).is_none());
        assert_eq!(acks.tick(now + patience), Some(6));
    }
}

#[test]
fn the_end_of_one_that_never_answers_covers_everything() {
    let now = Instant::now();
    for mut acks in [Acks::barrier(DECLARED), Acks::silence()] {
        acks.wrote(now, 5);
        acks.question(now, &pair());
        assert_eq!((acks.ended(), acks.tells()), (Some(5), false));
        assert_eq!(acks.ended(), None);
    }
}

#[test]
fn one_that_has_promised_to_count_tells_also_before_it_has() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 5);
    assert!(acks.tells());
    assert_eq!(acks.ended(), None, "what it hasn't counted, it may not have");
}

#[test]
fn one_that_answers_late_tells_of_everything_before_its_end() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, 3);
    assert!(acks.question(now, &pair()).is_some());
    acks.wrote(now, 2);
    assert!(acks.question(now, &pair()).is_none(), "it may be one that never answers");
    assert!(acks.last_question(now, &pair()).is_some());
    assert!(acks.last_question(now, &pair()).is_none(), "once");
    assert_eq!([acks.answered("taken-3"), acks.answered("taken-5"), acks.ended()], [Some(3), Some(5), None]);
    for mut acks in [Acks::counting(), Acks::silence()] {
        acks.wrote(now, 3);
        assert!(acks.last_question(now, &pair()).is_none());
    }
}

#[test]
fn who_answers_for_the_first_time_has_not_told_of_what_he_was_believed_to_have() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, 3);
    assert!(acks.question(now, &pair()).is_some());
    acks.wrote(now, 2);
    assert_eq!(acks.tick(now + DECLARED), Some(5));
    assert_eq!((acks.answered("taken-3"), acks.tells(), acks.has_told()), (None, true, false));
    acks.wrote(now, 1);
    assert!(acks.question(now + SPACE, &pair()).is_some());
    assert_eq!((acks.answered("taken-6"), acks.has_told()), (Some(6), true));
}

#[test]
fn the_end_of_one_that_can_tell_covers_what_it_told() {
    let now = Instant::now();
    let (mut barrier, mut counting) = (Acks::barrier(DECLARED), Acks::counting());
    for acks in [&mut barrier, &mut counting] {
        acks.wrote(now, 3);
        acks.question(now, &pair());
    }
    assert_eq!((barrier.answered("taken-3"), counting.counted(now, 3)), (Some(3), Some(3)));
    for acks in [&mut barrier, &mut counting] {
        acks.wrote(now, 2);
        assert_eq!(acks.ended(), None, "its end may have been on its way before ours came");
    }
}

#[test]
fn an_answer_that_comes_late_is_the_first_of_many() {
    let (mut acks, now) = (Acks::barrier(UNDECLARED), Instant::now());
    acks.wrote(now, 5);
    acks.question(now, &pair());
    assert_eq!(acks.tick(now + UNDECLARED), Some(5));
    acks.wrote(now, 2);
    assert_eq!(acks.answered("taken-5"), None, "no news");
    assert_eq!(acks.tick(now + UNDECLARED), None, "it isn't believed any more");
    assert!(acks.question(now + SPACE, &pair()).is_some());
    assert_eq!(acks.answered("taken-7"), Some(7));
}

#[test]
fn one_that_declares_nothing_has_less_time_but_more_where_the_way_is_long() {
    let patience = |declared, took| patience(declared, Duration::from_millis(took));
    assert_eq!(patience(true, 1), DECLARED);
    assert_eq!([patience(false, 1), patience(false, 600)], [UNDECLARED, Duration::from_millis(2400)]);
    assert_eq!(patience(false, 60_000), DECLARED);
}

#[test]
fn one_that_promised_to_count_is_never_believed_unasked() {
    let (mut acks, now) = (Acks::counting(), Instant::now());
    acks.wrote(now, 5);
    acks.question(now, &pair());
    assert_eq!((acks.deadline(true), acks.tick(now + 2 * DECLARED)), (None, None), "the way to it may be dead");
}

#[test]
fn one_that_has_answered_is_waited_for() {
    let (mut acks, now) = (Acks::barrier(DECLARED), Instant::now());
    acks.wrote(now, 1);
    acks.question(now, &pair());
    acks.answered("taken-1");
    acks.wrote(now, 1);
    acks.question(now + SPACE, &pair());
    assert_eq!(acks.deadline(true), None);
    assert_eq!(acks.tick(now + Duration::from_secs(3600)), None);
}
