//! The size at which the network runs, and how often, so that frames are done in time.

use crate::engine::{FrameTimings, Size};
use std::collections::VecDeque;
use std::time::Duration;

/// How the application wants the network's size and key frames to be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SizePolicy {
    /// Size relative to the frame; 0 for as large as real time allows.
    pub scale: f64,
    /// The maximum number of rows; 0 for no limit.
    pub max_height: u32,
    /// Size of the strokes relative to those in a picture of [`STROKE_ROWS`]; 0
    /// for strokes as they are at the frame's size.
    pub stroke_scale: f64,
    /// Frames from one key frame to the next; 0 for as few as real time allows.
    pub network_every: u32,
}

/// Rows of the picture that `stroke-scale` refers to.
pub const STROKE_ROWS: f64 = 480.0;

/// Before the size goes down, the network paints every second frame alone, and so on to
/// this.
const MOST_EVERY: u32 = 4;

/// The ratio of each size to the next larger one.
const STEP: f64 = 0.92;

/// The minimum of rows and columns: where there is no time for these, frames are
/// dropped.
const LEAST_SIDE: f64 = 72.0;

/// The size goes down when frames take more than this share of the time.
const FULL: f64 = 0.9;

/// A new size takes at most this share of the time.
const COMFORT: f64 = 0.75;

/// There must be time for a larger size for at least this long before it is
/// chosen.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest that [`PATIENCE`] grows when larger sizes prove too large.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// The number of frames that decide that there is too little time.
const FEW: usize = 8;

/// The minimum share of the time, if downstream elements need much of it.
const LEAST_SHARE: f64 = 0.5;

/// Chooses a rung of a ladder for each frame: the size of the network's picture, and how
/// often the network paints one.
///
/// A frame takes a fixed time and one for each of the network's pixels, of which the
/// network's is spread over the frames up to the next key frame. All are measured, so
/// that the time which another rung takes is known before it is tried. It goes down as
/// soon as the last few frames have taken nearly all of the time, and up by one rung when
/// there has been time for that for a while: the longer, the sooner the last rise proved
/// wrong.
#[derive(Debug, Default)]
pub struct Pace {
    /// The most work first.
    rungs: Vec<Rung>,
    /// The first that may be chosen.
    top: usize,
    current: usize,
    /// Time for a frame; none without real time.
    budget: Option<Duration>,
    /// The part of it that may be used, from 0 to 1.
    share: f64,
    since_late: Duration,
    /// The costs of the frames since the last change.
    costs: VecDeque<Cost>,
    /// Whether the first rung that fits has been found.
    converged: bool,
    patience: Duration,
    since_rise: Duration,
}

/// How much work frames are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rung {
    size: Size,
    /// Frames from one key frame to the next.
    every: u32,
}

/// The cost of one frame, in seconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    fixed: f64,
    /// For each pixel, of motion.
    motion: f64,
    /// For each pixel, of the network if it painted all frames.
    network: f64,
}

impl Cost {
    fn at(self, rung: Rung) -> f64 {
        let per_pixel = self.motion + self.network / f64::from(rung.every);
        self.fixed + per_pixel * rung.size.area() as f64
    }
}

impl Pace {
    /// A pace for frames of this size, with time `budget` for each in real time.
    pub fn new(frame: Size, policy: SizePolicy, budget: Option<Duration>) -> Self {
        let top = wanted(frame, policy);
        let adapts = policy.scale <= 0.0 || policy.network_every == 0;
        let budget = budget.filter(|budget| adapts && !budget.is_zero());
        let (least, most) = match (policy.network_every, budget) {
            (0, Some(_)) => (1, MOST_EVERY),
            (every, _) => (every.max(1), every.max(1)),
        };
        let at_top = (least..=most).map(|every| Rung { size: top, every });
        let mut rungs = Vec::from_iter(at_top);
        if budget.is_some() && policy.scale <= 0.0 {
            rungs.extend(smaller(top).map(|size| Rung { size, every: most }));
        }
        // Start small: the first frames are in time on any machine.
        let current = rungs.len() - 1;
        Pace {
            rungs,
            current,
            budget,
            share: 1.0,
            patience: PATIENCE,
            ..Pace::default()
        }
    }

    /// The same after frames were painted at `before`'s pace: starts at the size
    /// that their costs allow.
    pub fn after(before: Pace, frame: Size, policy: SizePolicy, budget: Option<Duration>) -> Self {
        let mut pace = Pace::new(frame, policy, budget);
        if let (Some(cost), Some(budget)) = (before.typical(FEW), pace.budget)
            // The first frame includes one-time costs.
            && before.costs.len() > 1
        {
            pace.converged = true;
            pace.current = pace.best(cost, budget.as_secs_f64());
        }
        pace
    }

    /// Changes the time for a frame, in real time.
    pub fn set_budget(&mut self, budget: Duration) {
        if self.budget.is_some() && !budget.is_zero() {
            self.budget = Some(budget);
        }
    }

    /// The size for the next frame.
    pub fn size(&self) -> Size {
        self.rung().size
    }

    /// How far apart key frames are, in frames.
    pub fn every(&self) -> usize {
        self.rung().every as usize
    }

    fn rung(&self) -> Rung {
        self.rungs.get(self.current).copied().unwrap_or(Rung {
            size: Size::new(1, 1),
            every: 1,
        })
    }

    /// Excludes the sizes that are not `possible`, except for the smallest, until
    /// the next call.
    pub fn limit(&mut self, possible: impl Fn(Size) -> bool) {
        let impossible = self.rungs.iter().take_while(|rung| !possible(rung.size));
        self.top = impossible.count().min(self.rungs.len().saturating_sub(1));
        self.current = self.current.max(self.top);
    }

    /// Takes the timings of a frame of the current size, on which the network has done
    /// its share of a key frame.
    pub fn observe(&mut self, timings: FrameTimings) {
        let Rung { size, every } = self.rung();
        let per_pixel = |time: Duration| time.as_secs_f64() / size.area().max(1) as f64;
        self.costs.push_back(Cost {
            fixed: (timings.convert + timings.upsample).as_secs_f64(),
            motion: per_pixel(timings.motion),
            network: per_pixel(timings.network) * f64::from(every),
        });
        let Some(budget) = self.budget else {
            self.costs.drain(..self.costs.len().saturating_sub(FEW));
            return;
        };
        self.since_rise += budget;
        self.since_late += budget;
        if self.since_late > 5 * PATIENCE {
            self.since_late = Duration::ZERO;
            self.share = (self.share * 1.1).min(1.0);
        }
        let time = budget.as_secs_f64() * self.share;
        match self.converged {
            true => self.adjust(budget, time),
            false => self.converge(time),
        }
    }

    /// Takes note of a frame that was late although it was painted in time: other
    /// elements need more of the time.
    pub fn frame_was_late(&mut self) {
        if self.converged && self.since_late >= PATIENCE {
            self.since_late = Duration::ZERO;
            self.share = (self.share * 0.9).max(LEAST_SHARE);
        }
    }

    /// Takes note that each pixel takes `factor` times as long from now on.
    pub fn model_changed(&mut self, factor: f64) {
        let (Some(budget), Some(cost)) = (self.budget, self.typical(FEW)) else {
            return;
        };
        let cost = Cost {
            network: cost.network * factor,
            ..cost
        };
        let best = self.best(cost, budget.as_secs_f64() * self.share);
        self.change(best);
    }

    /// Goes from the initial rung to the one that fits the measured costs.
    fn converge(&mut self, time: f64) {
        // The first frame includes one-time costs.
        if self.costs.len() < 4 {
            return;
        }
        self.costs.pop_front();
        self.converged = true;
        self.since_rise = Duration::ZERO;
        if let Some(cost) = self.typical(FEW) {
            self.change(self.best(cost, time));
        }
    }

    fn adjust(&mut self, budget: Duration, time: f64) {
        let rung = self.rung();
        if let Some(cost) = self.typical(FEW)
            && self.costs.len() >= FEW
            && cost.at(rung) > FULL * time
        {
            return self.fall(cost, time);
        }
        let frames = self.patience.as_secs_f64() / budget.as_secs_f64();
        if self.costs.len() < (frames as usize).max(8) {
            return;
        }
        let Some(higher) = self.current.checked_sub(1).filter(|&at| at >= self.top) else {
            self.costs.pop_front();
            return;
        };
        let fits = |cost: Cost| cost.at(self.rungs[higher]) <= COMFORT * time;
        if self.typical(self.costs.len()).is_some_and(fits) {
            if self.since_rise > 10 * self.patience {
                self.patience = (self.patience / 2).max(PATIENCE);
            }
            self.since_rise = Duration::ZERO;
            self.change(higher);
        } else {
            self.costs.pop_front();
        }
    }

    fn fall(&mut self, cost: Cost, time: f64) {
        let last = self.rungs.len() - 1;
        if self.current == last {
            self.costs.clear();
            return;
        }
        if self.since_rise < 4 * self.patience {
            self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
        }
        let best = self.best(cost, time).max(self.current + 1).min(last);
        self.change(best);
    }

    fn change(&mut self, to: usize) {
        if to != self.current {
            self.current = to;
            self.costs.clear();
        }
    }

    /// The highest rung that takes at most [`COMFORT`] of the time.
    fn best(&self, cost: Cost, time: f64) -> usize {
        let fits = |rung: &Rung| cost.at(*rung) <= COMFORT * time;
        let lowest = self.rungs.len() - 1;
        let best = self.rungs.iter().position(fits).unwrap_or(lowest);
        best.max(self.top)
    }

    /// The mean cost of up to the last `count` frames, trimmed: without the highest
    /// eighth, since those are outliers.
    fn typical(&self, count: usize) -> Option<Cost> {
        let rung = self.rung();
        let mut costs = Vec::from_iter(self.costs.iter().rev().take(count).copied());
        costs.sort_by(|a, b| a.at(rung).total_cmp(&b.at(rung)));
        costs.truncate(costs.len() - costs.len() / FEW);
        let count = costs.len() as f64;
        let mean = |part: fn(&Cost) -> f64| costs.iter().map(part).sum::<f64>() / count;
        (count > 0.0).then(|| Cost {
            fixed: mean(|cost| cost.fixed),
            motion: mean(|cost| cost.motion),
            network: mean(|cost| cost.network),
        })
    }
}

/// The network's size without a limit of time.
fn wanted(frame: Size, policy: SizePolicy) -> Size {
    let rows = frame.height.max(1) as f64;
    let mut factor = 1.0_f64;
    if policy.stroke_scale > 0.0 {
        factor = factor.min(STROKE_ROWS / policy.stroke_scale / rows);
    }
    if policy.max_height > 0 {
        factor = factor.min(f64::from(policy.max_height) / rows);
    }
    if policy.scale > 0.0 {
        factor *= policy.scale.min(1.0);
    }
    scaled(frame, factor)
}

/// The sizes below `top`, step by step.
fn smaller(top: Size) -> impl Iterator<Item = Size> {
    let shorter = top.width.min(top.height) as f64;
    (1..)
        .map(|step| STEP.powi(step))
        .take_while(move |factor| factor * shorter >= LEAST_SIDE)
        .map(move |factor| scaled(top, factor))
}

/// A part of `frame`: its sides to the nearest multiple of 4, as the network
/// works on, if that is not beyond them.
fn scaled(frame: Size, factor: f64) -> Size {
    if factor >= 1.0 {
        return frame;
    }
    let side = |side: usize| {
        let part = (side as f64 * factor / 4.0).round().max(1.0) as usize * 4;
        part.min(side)
    };
    frame.map(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VGA: Size = Size::new(640, 480);
    const BUDGET: Duration = Duration::from_millis(33);
    const AUTO: SizePolicy = SizePolicy {
        scale: 0.0,
        max_height: 0,
        stroke_scale: 0.0,
        network_every: 1,
    };

    fn millis(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// A machine on which VGA takes the network `vga` milliseconds.
    fn timings(size: Size, vga: f64) -> FrameTimings {
        let network = vga * size.area() as f64 / VGA.area() as f64;
        FrameTimings {
            convert: millis(2.0),
            network: millis(network),
            upsample: millis(1.0),
            motion: Duration::ZERO,
        }
    }

    fn total(timings: FrameTimings) -> Duration {
        timings.convert + timings.network + timings.upsample
    }

    /// Runs some frames; how long the longest took after the first.
    fn run(pace: &mut Pace, frames: usize, vga: impl Fn(usize) -> f64) -> Duration {
        let frame = |i| {
            let timings = timings(pace.size(), vga(i));
            pace.observe(timings);
            total(timings)
        };
        (0..frames).map(frame).max().unwrap_or_default()
    }

    #[test]
    fn without_real_time_it_is_the_frames_size() {
        let mut pace = Pace::new(Size::new(641, 479), AUTO, None);
        assert_eq!(pace.size(), Size::new(641, 479));
        run(&mut pace, 100, |_| 1000.0);
        assert_eq!(pace.size(), Size::new(641, 479));
    }

    #[test]
    fn the_policy_limits_the_size() {
        let size = |(width, height), scale, max_height, stroke_scale| {
            let policy = SizePolicy {
                scale,
                max_height,
                stroke_scale,
                network_every: 1,
            };
            let Size { width, height } = Pace::new(Size::new(width, height), policy, None).size();
            (width, height)
        };
        assert_eq!(size((640, 480), 0.5, 0, 0.0), (320, 240));
        assert_eq!(size((640, 480), 1.0, 0, 0.0), (640, 480));
        assert_eq!(size((1920, 1080), 0.0, 360, 0.0), (640, 360));
        assert_eq!(size((1920, 1080), 0.5, 360, 0.0), (320, 180));
        assert_eq!(size((640, 480), 0.0, 1080, 0.0), (640, 480));
        // The same strokes on any frame.
        assert_eq!(size((1920, 1080), 0.0, 0, 1.0), (852, 480));
        assert_eq!(size((3840, 2160), 0.0, 0, 2.0), (428, 240));
        assert_eq!(size((640, 480), 0.0, 0, 0.5), (640, 480));
        // However small.
        assert_eq!(size((1, 1), 0.01, 1, 100.0), (1, 1));
        assert_eq!(size((3, 5), 0.5, 0, 0.0), (3, 4));
    }

    #[test]
    fn a_fixed_size_stays_however_long_it_takes() {
        let policy = SizePolicy { scale: 0.5, ..AUTO };
        let mut pace = Pace::new(VGA, policy, Some(BUDGET));
        run(&mut pace, 100, |_| 1000.0);
        assert_eq!(pace.size(), Size::new(320, 240));
    }

    #[test]
    fn on_a_fast_machine_nothing_is_small_for_long() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 4, |_| 15.0);
        assert_eq!(pace.size(), VGA);
        run(&mut pace, 1000, |_| 15.0);
        assert_eq!(pace.size(), VGA);
    }

    #[test]
    fn on_a_slow_machine_every_frame_is_in_time() {
        for vga in [40.0, 72.0, 150.0, 500.0] {
            let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
            assert!(run(&mut pace, 1000, |_| vga) < BUDGET, "{vga}");
            let used = total(timings(pace.size(), vga)).as_secs_f64() / BUDGET.as_secs_f64();
            assert!((0.6..0.9).contains(&used), "{vga}: {used}");
        }
    }

    #[test]
    fn it_stays_put_where_times_scatter() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        let scatter = |i: usize| 72.0 * (1.0 + 0.1 * ((i * 7919 % 13) as f64 / 6.0 - 1.0));
        run(&mut pace, 300, scatter);
        let size = pace.size();
        for _ in 0..20 {
            run(&mut pace, 100, scatter);
            assert_eq!(pace.size(), size);
        }
    }

    #[test]
    fn one_slow_frame_changes_nothing_but_several_do() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        run(&mut pace, 1, |_| 300.0);
        assert_eq!(pace.size(), size);
        run(&mut pace, 50, |_| 72.0);
        assert_eq!(pace.size(), size);
        // The first of them may be an outlier, too.
        run(&mut pace, 4, |_| 144.0);
        assert!(pace.size().width < size.width);
        assert!(total(timings(pace.size(), 144.0)) < BUDGET);
    }

    #[test]
    fn after_a_load_the_size_rises_step_by_step() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let before = pace.size();
        run(&mut pace, 100, |_| 200.0);
        let mut last = pace.size();
        assert!(last.width < before.width);
        for _ in 0..4000 {
            run(&mut pace, 1, |_| 72.0);
            let size = pace.size();
            assert!(
                size.width as f64 <= last.width as f64 / STEP + 4.0,
                "{last:?}, {size:?}"
            );
            assert!(size.width >= last.width);
            last = size;
        }
        assert_eq!(last, before);
    }

    /// A load that comes whenever the size has gone up must not make it swing.
    #[test]
    fn rises_that_prove_wrong_become_rare() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        let mut changes = 0;
        let mut last = size;
        for _ in 0..9000 {
            let cost = if pace.size().width > size.width {
                110.0
            } else {
                60.0
            };
            run(&mut pace, 1, |_| cost);
            changes += usize::from(pace.size() != last);
            last = pace.size();
        }
        // In five minutes; a change each second would be 300.
        assert!((1..50).contains(&changes), "{changes}");
    }

    /// For example when a sink turns out to be synchronized.
    #[test]
    fn real_time_starts_with_the_costs_measured_before() {
        let mut calm = Pace::new(VGA, AUTO, None);
        run(&mut calm, 5, |_| 72.0);
        let mut pace = Pace::after(calm, VGA, AUTO, Some(BUDGET));
        let size = pace.size();
        assert!((300..450).contains(&size.width), "{size:?}");
        run(&mut pace, 300, |_| 72.0);
        assert_eq!(pace.size(), size);
        let mut none = Pace::new(VGA, AUTO, None);
        run(&mut none, 1, |_| 72.0);
        assert!(Pace::after(none, VGA, AUTO, Some(BUDGET)).size().width < 120);
    }

    #[test]
    fn durations_may_vary() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        pace.set_budget(BUDGET + Duration::from_micros(700));
        assert_eq!(pace.size(), size);
        pace.set_budget(BUDGET / 2);
        run(&mut pace, 20, |_| 72.0);
        assert!(pace.size().width < size.width);
    }

    #[test]
    fn a_heavier_model_gets_a_smaller_size_at_once() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 40.0);
        pace.model_changed(3.0);
        assert!(total(timings(pace.size(), 120.0)) < BUDGET);
        let heavy = pace.size();
        run(&mut pace, 100, |_| 120.0);
        pace.model_changed(1.0 / 3.0);
        assert!(pace.size().width > heavy.width);
    }

    #[test]
    fn late_frames_leave_time_to_other_elements() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        for _ in 0..4 {
            run(&mut pace, 60, |_| 72.0);
            pace.frame_was_late();
        }
        run(&mut pace, FEW, |_| 72.0);
        let small = pace.size();
        assert!(small.width < size.width);
        run(&mut pace, 3000, |_| 72.0);
        assert!(pace.size().width > small.width);
    }

    #[test]
    fn impossible_sizes_are_not_chosen() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        pace.limit(|size| size.width <= 320);
        run(&mut pace, 1000, |_| 1.0);
        assert!((280..=320).contains(&pace.size().width));
        pace.limit(|_| false);
        run(&mut pace, 1000, |_| 1.0);
        assert!(pace.size().width < 120);
        pace.limit(|_| true);
        run(&mut pace, 1000, |_| 1.0);
        assert_eq!(pace.size(), VGA);
    }

    /// A machine on which VGA takes the network `vga` milliseconds and motion 6; how long
    /// the longest frame took after the first rung has been found.
    fn run_spread(pace: &mut Pace, frames: usize, vga: f64) -> Duration {
        let frame = |_| {
            let pixels = pace.size().area() as f64 / VGA.area() as f64;
            let timings = FrameTimings {
                convert: millis(2.0),
                network: millis(vga * pixels / pace.every() as f64),
                upsample: millis(1.0),
                motion: millis(6.0 * pixels),
            };
            pace.observe(timings);
            total(timings) + timings.motion
        };
        (0..frames).map(frame).max().unwrap_or_default()
    }

    const BOTH: SizePolicy = SizePolicy {
        network_every: 0,
        ..AUTO
    };

    #[test]
    fn key_frames_become_rare_before_they_become_small() {
        for (vga, every) in [(10.0, 1), (30.0, 2), (45.0, 3), (60.0, 4), (150.0, 4)] {
            let mut pace = Pace::new(VGA, BOTH, Some(BUDGET));
            assert!(run_spread(&mut pace, 1000, vga) < BUDGET, "{vga}");
            assert_eq!(pace.every(), every, "{vga}");
            assert_eq!(pace.size() == VGA, vga < 100.0, "{vga}: {}", pace.size());
            let mut alone = Pace::new(VGA, AUTO, Some(BUDGET));
            run_spread(&mut alone, 1000, vga);
            assert!(alone.size().width <= pace.size().width, "{vga}");
        }
    }

    #[test]
    fn after_a_load_sizes_rise_and_then_key_frames_become_many() {
        let mut pace = Pace::new(VGA, BOTH, Some(BUDGET));
        run_spread(&mut pace, 1000, 150.0);
        assert!(pace.size().width < VGA.width);
        run_spread(&mut pace, 3000, 10.0);
        assert_eq!((pace.size(), pace.every()), (VGA, 1));
        run_spread(&mut pace, 2 * FEW, 60.0);
        assert_eq!((pace.size(), pace.every()), (VGA, 4));
    }

    #[test]
    fn a_fixed_size_or_number_stays() {
        let fixed = SizePolicy { scale: 0.5, ..BOTH };
        let mut pace = Pace::new(VGA, fixed, Some(BUDGET));
        run_spread(&mut pace, 100, 1000.0);
        assert_eq!((pace.size(), pace.every()), (Size::new(320, 240), 4));
        run_spread(&mut pace, 1000, 20.0);
        assert_eq!((pace.size(), pace.every()), (Size::new(320, 240), 1));
        let every = SizePolicy {
            network_every: 7,
            ..AUTO
        };
        let mut pace = Pace::new(VGA, every, Some(BUDGET));
        run_spread(&mut pace, 1000, 70.0);
        assert_eq!((pace.size(), pace.every()), (VGA, 7));
        run_spread(&mut pace, 1000, 500.0);
        assert!(pace.size().width < VGA.width);
        assert_eq!(pace.every(), 7);
        // Without real time, nothing needs to be saved.
        assert_eq!(Pace::new(VGA, BOTH, None).every(), 1);
    }
}
