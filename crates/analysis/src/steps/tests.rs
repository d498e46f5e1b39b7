use super::*;

/// A process in which connections come and go: a line with 2 blocks of 100 bytes for each that is
/// live, one that is paid at the first, and one that each leaves behind.
struct Server {
    looks: Looks,
    live: i64,
    made: i64,
    leaves: i64,
}

const HELD: u32 = 1;
const ONCE: u32 = 2;
const LEFT: u32 = 3;

impl Server {
    fn leaving(leaves: i64) -> Server {
        let mut server = Server { looks: Looks::default(), live: 0, made: 0, leaves };
        server.still();
        server
    }

    /// Connections come, or go.
    fn changes(&mut self, by: i64) {
        self.live += by;
        self.made += by.max(0);
    }

    /// A look with some connections in mid-handshake, of which each holds 7 blocks of 300 bytes
    /// more.
    fn look(&mut self, handshaking: i64) {
        let Server { live, made, leaves, .. } = *self;
        let once = if made > 0 { 5_000 } else { 40 };
        let look = Look {
            numbers: Numbers { live, made, files: None, threads: None },
            held: vec![
                (HELD, 10 + 2 * live + 7 * handshaking, 777 + 200 * live + 2_100 * handshaking),
                (ONCE, 1, once),
                (LEFT, leaves * made, 64 * leaves * made),
            ],
        };
        self.looks.add(&look);
    }

    fn still(&mut self) {
        self.look(0);
        self.look(0);
    }
}

fn of(server: &Server) -> StepCost {
    estimate(&[&server.looks]).expect("connections came and went")
}

#[test]
fn still_moments_after_the_first_connections_are_exact_whatever_came_before() {
    let mut server = Server::leaving(0);
    for by in [3, 17, -20, 20, -7, 30, -30] {
        server.changes(by);
        server.look(by.abs());
        server.still();
    }
    let cost = of(&server);
    assert_eq!((cost.tier, cost.open), (Tier::Still, Each { bytes: 200.0, blocks: 2.0 }));
    assert!(cost.is_certain(), "{cost:?}");
    assert_eq!(cost.left, Some(Each::default()));
    assert_eq!(cost.once_bytes, Some(4_960.0));
    assert_eq!(cost.lines[&HELD], Each { bytes: 200.0, blocks: 2.0 });
    assert!(!cost.lines.contains_key(&ONCE));
}

#[test]
fn what_each_leaves_behind_is_told_apart_from_what_it_holds() {
    let mut server = Server::leaving(3);
    for by in [20, -5, 12, -20, 4, 4, -9] {
        server.changes(by);
        server.still();
    }
    let cost = of(&server);
    assert_eq!(cost.open, Each { bytes: 200.0, blocks: 2.0 });
    assert_eq!(cost.left, Some(Each { bytes: 192.0, blocks: 3.0 }));
}

#[test]
fn where_connections_only_came_what_they_leave_behind_is_not_told_apart() {
    let mut server = Server::leaving(0);
    for _ in 0..12 {
        server.changes(4);
        server.still();
    }
    assert_eq!(of(&server).left, None);
}

#[test]
fn without_a_still_moment_the_votes_of_what_rests_win() {
    let mut server = Server::leaving(0);
    for (at, by) in
        [1, 4, -2, 9, 3, -6, 2, 8, -12, 5, 1, -3].into_iter().cycle().take(60).enumerate()
    {
        server.changes(by);
        server.look(i64::from(at % 3 == 0));
    }
    let cost = of(&server);
    assert_eq!((cost.tier, cost.open.bytes), (Tier::Any, 200.0));
    assert!(cost.interval.low <= 200.0 && cost.interval.high >= 200.0);
}

#[test]
fn two_kinds_of_connections_have_an_interval_with_their_mean_in_it() {
    let mut looks = Looks::default();
    // Blocks of each connection that is live: one, or three.
    let (mut live, mut made) = (Vec::new(), 0_i64);
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..300 {
        let by = random(9);
        for _ in 0..by {
            if live.len() < 100 && random(100) >= live.len() as u64 {
                live.push(if random(2) == 0 { 1 } else { 3 });
                made += 1;
            } else if !live.is_empty() {
                live.swap_remove(random(live.len() as u64) as usize);
            }
        }
        let blocks: i64 = live.iter().sum();
        let numbers = Numbers { live: live.len() as i64, made, files: None, threads: None };
        let look = Look { numbers, held: vec![(1, blocks, 100 * blocks)] };
        looks.add(&look);
        looks.add(&look);
    }
    let cost = estimate(&[&looks]).unwrap();
    assert!(!cost.is_certain(), "{cost:?}");
    assert!(cost.interval.low <= 200.0 && cost.interval.high >= 200.0, "{cost:?}");
    assert!((150.0..250.0).contains(&cost.open.bytes), "{cost:?}");
}

#[test]
fn objects_that_a_collector_has_not_freed_are_told_apart_by_their_sockets() {
    let mut looks = Looks::default();
    let mut state = 3_u32;
    let (mut open, mut idle, mut made) = (0_i64, 0_i64, 0_i64);
    for _ in 0..120 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let by = i64::from(state >> 28);
        match (state >> 20) % 3 {
            0 => {
                open += by;
                made += by;
            }
            1 => {
                let closed = by.min(open);
                open -= closed;
                idle += closed;
            }
            _ => idle = (idle - by).max(0),
        }
        let numbers = Numbers { live: open + idle, made, files: Some(9 + open), threads: Some(4) };
        let blocks = 2 * open + 3 * idle;
        let look = Look { numbers, held: vec![(1, blocks, 100 * open * 2 + 500 * idle * 3)] };
        looks.add(&look);
        looks.add(&look);
    }
    let cost = estimate(&[&looks]).unwrap();
    assert_eq!(cost.open, Each { bytes: 200.0, blocks: 2.0 });
    assert_eq!(cost.idle, Some(Each { bytes: 1_500.0, blocks: 3.0 }));
}

#[test]
fn files_that_were_counted_late_make_no_other_figure_of_a_few_looks() {
    // A server that takes its connections while it is looked at: each has two buffers, and the one
    // that was there first had given both back. It stands still before them, and at the end.
    let mut looks = Looks::default();
    for (live, made, buffers, files) in [
        (0, 0, 0, 9),
        (1, 1, 0, 8),
        (0, 3, 0, 11),
        (8, 11, 16, 13),
        (33, 36, 66, 25),
        (50, 53, 100, 59),
    ] {
        let numbers = Numbers { live, made, files: Some(files), threads: Some(1) };
        let held = vec![(1, 3 * live, 3_000 * live), (2, buffers, 16_716 * buffers)];
        let look = Look { numbers, held };
        looks.add(&look);
        if (live, made) == (0, 3) || live == 50 {
            looks.add(&look);
        }
    }
    let cost = estimate(&[&looks]).unwrap();
    assert_eq!(cost.open.bytes, 3_000.0 + 2.0 * 16_716.0, "{cost:?}");
    assert_eq!(cost.open_connections, [50]);
}

#[test]
fn two_processes_pay_once_each_and_agree_on_a_connection() {
    let mut servers = [Server::leaving(0), Server::leaving(0)];
    for (at, by) in [17, 3, 20, -4, 6, -20, 8, 2, -5, -1].into_iter().enumerate() {
        let server = &mut servers[at % 2];
        server.changes(by);
        server.still();
    }
    let looks: Vec<&Looks> = servers.iter().map(|server| &server.looks).collect();
    let cost = estimate(&looks).unwrap();
    assert_eq!(cost.open.bytes, 200.0);
    assert_eq!(cost.once_bytes, Some(2.0 * 4_960.0));
}

#[test]
fn many_looks_are_thinned_out_and_say_the_same() {
    let mut server = Server::leaving(0);
    for at in 0..9_000_i64 {
        server.changes(if at % 4 < 2 { 3 } else { -3 });
        server.look(0);
    }
    assert!(server.looks.len() <= 2_049);
    let column = server.looks.column(HELD);
    for (look, held) in column.iter().enumerate().skip(1) {
        let live = server.looks.numbers(look).live;
        assert_eq!(*held, (10 + 2 * live, 777 + 200 * live));
    }
    assert_eq!(of(&server).open.bytes, 200.0);
}

#[test]
fn where_the_number_never_changed_there_is_no_figure() {
    let mut looks = Looks::default();
    let numbers = Numbers { live: 5, made: 5, files: None, threads: None };
    looks.add(&Look { numbers, held: vec![(1, 10, 1_000)] });
    looks.add(&Look { numbers, held: vec![(1, 12, 1_200)] });
    assert_eq!(estimate(&[&looks]), None);
    assert_eq!(estimate(&[]), None);
}
