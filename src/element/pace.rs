//! At which size the network runs, so that frames are done in time.

use crate::engine::Spent;
use std::collections::VecDeque;
use std::time::Duration;

/// Width and height.
pub type Size = (usize, usize);

/// How the application wants the network's size to be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SizePolicy {
    /// Size over that of the frame; 0 for as much as there is time for.
    pub scale: f64,
    /// The most rows; 0 for no limit.
    pub max_height: u32,
    /// Size of the strokes as on a picture of [`STROKE_ROWS`]; 0 for that at
    /// the frame's own size.
    pub stroke_scale: f64,
}

/// Rows of the picture whose strokes `stroke-scale` 1 gives to all others.
pub const STROKE_ROWS: f64 = 480.0;

/// Sizes differ by this, from one to the next smaller one.
const STEP: f64 = 0.92;

/// Fewer rows (or columns) are no picture any more: where there is no time for
/// these, frames are dropped.
const LEAST_SIDE: f64 = 72.0;

/// Above this share of the time the size goes down.
const FULL: f64 = 0.9;

/// A new size is to take at most this share of the time.
const COMFORT: f64 = 0.75;

/// So long, at least, must there be time for a larger size before it is taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest that this becomes if the larger size proves too large.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// So many frames tell that there is too little time.
const FEW: usize = 8;

/// The least share of the time if those downstream need much of it.
const LEAST_SHARE: f64 = 0.5;

/// Chooses a size for each frame.
///
/// A frame takes a fixed time and one for each of the network's pixels. Both
/// are measured, so that the time which another size takes is known before it
/// is tried. The size goes down as soon as the last few frames have taken nearly
/// all of the time, and up by one step when there has been time for that for a
/// while: the longer, the sooner the last rise proved wrong.
#[derive(Debug, Default)]
pub struct Pace {
    /// All that there are, the largest first.
    sizes: Vec<Size>,
    /// The largest that may be taken.
    top: usize,
    current: usize,
    /// Time for a frame; none if there is no hurry.
    budget: Option<Duration>,
    /// The part of it that may be used, from 0 to 1.
    share: f64,
    since_late: Duration,
    /// What the frames since the last change have cost.
    costs: VecDeque<Cost>,
    /// Whether the first size has been found.
    settled: bool,
    patience: Duration,
    since_rise: Duration,
}

/// What one frame has cost, in seconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    fixed: f64,
    per_pixel: f64,
}

impl Cost {
    fn at(self, (width, height): Size) -> f64 {
        self.fixed + self.per_pixel * (width * height) as f64
    }
}

impl Pace {
    /// For frames of this size, `budget` apart if that matters.
    pub fn new(frame: Size, policy: SizePolicy, budget: Option<Duration>) -> Self {
        let top = wanted(frame, policy);
        let budget = budget.filter(|budget| policy.scale <= 0.0 && !budget.is_zero());
        let mut sizes = vec![top];
        if budget.is_some() {
            sizes.extend(smaller(top));
        }
        // Whatever the machine, the first frames shall be in time.
        let current = sizes.len() - 1;
        Pace {
            sizes,
            current,
            budget,
            share: 1.0,
            patience: PATIENCE,
            ..Pace::default()
        }
    }

    /// The same for frames of which some have been painted at `before`'s pace:
    /// what they have cost says where to begin.
    pub fn after(before: Pace, frame: Size, policy: SizePolicy, budget: Option<Duration>) -> Self {
        let mut pace = Pace::new(frame, policy, budget);
        if let (Some(cost), Some(budget)) = (before.typical(FEW), pace.budget)
            // The first frame has also cost what all others find done.
            && before.costs.len() > 1
        {
            pace.settled = true;
            pace.current = pace.best(cost, budget.as_secs_f64());
        }
        pace
    }

    /// Changes the time for a frame, of those that have one.
    pub fn set_budget(&mut self, budget: Duration) {
        if self.budget.is_some() && !budget.is_zero() {
            self.budget = Some(budget);
        }
    }

    /// The size for the next frame.
    pub fn size(&self) -> Size {
        self.sizes.get(self.current).copied().unwrap_or((1, 1))
    }

    /// Takes none of the sizes that are not `possible`, but the smallest, until
    /// asked again.
    pub fn limit(&mut self, possible: impl Fn(Size) -> bool) {
        let impossible = self.sizes.iter().take_while(|size| !possible(**size));
        self.top = impossible.count().min(self.sizes.len().saturating_sub(1));
        self.current = self.current.max(self.top);
    }

    /// Hears what a frame of the current size has cost.
    pub fn observe(&mut self, spent: Spent) {
        let (width, height) = self.size();
        self.costs.push_back(Cost {
            fixed: (spent.convert + spent.upsample).as_secs_f64(),
            per_pixel: spent.network.as_secs_f64() / (width * height).max(1) as f64,
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
        match self.settled {
            true => self.adjust(budget, time),
            false => self.settle(time),
        }
    }

    /// Hears that a frame came too late although it was painted in time: others
    /// need more of it.
    pub fn frame_was_late(&mut self) {
        if self.settled && self.since_late >= PATIENCE {
            self.since_late = Duration::ZERO;
            self.share = (self.share * 0.9).max(LEAST_SHARE);
        }
    }

    /// Hears that each pixel takes `factor` times as long from now on.
    pub fn model_changed(&mut self, factor: f64) {
        let (Some(budget), Some(cost)) = (self.budget, self.typical(FEW)) else {
            return;
        };
        let cost = Cost {
            per_pixel: cost.per_pixel * factor,
            ..cost
        };
        let best = self.best(cost, budget.as_secs_f64() * self.share);
        self.change(best);
    }

    /// Goes from the first, small size to the right one.
    fn settle(&mut self, time: f64) {
        // The first frame has also cost what all others find done.
        if self.costs.len() < 4 {
            return;
        }
        self.costs.pop_front();
        self.settled = true;
        self.since_rise = Duration::ZERO;
        if let Some(cost) = self.typical(FEW) {
            self.change(self.best(cost, time));
        }
    }

    fn adjust(&mut self, budget: Duration, time: f64) {
        let size = self.size();
        if let Some(cost) = self.typical(FEW)
            && self.costs.len() >= FEW
            && cost.at(size) > FULL * time
        {
            return self.fall(cost, time);
        }
        let frames = self.patience.as_secs_f64() / budget.as_secs_f64();
        if self.costs.len() < (frames as usize).max(8) {
            return;
        }
        let Some(larger) = self.current.checked_sub(1).filter(|&at| at >= self.top) else {
            self.costs.pop_front();
            return;
        };
        let fits = |cost: Cost| cost.at(self.sizes[larger]) <= COMFORT * time;
        if self.typical(self.costs.len()).is_some_and(fits) {
            if self.since_rise > 10 * self.patience {
                self.patience = (self.patience / 2).max(PATIENCE);
            }
            self.since_rise = Duration::ZERO;
            self.change(larger);
        } else {
            self.costs.pop_front();
        }
    }

    fn fall(&mut self, cost: Cost, time: f64) {
        let last = self.sizes.len() - 1;
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

    /// The largest size that is done in comfort.
    fn best(&self, cost: Cost, time: f64) -> usize {
        let fits = |size: &Size| cost.at(*size) <= COMFORT * time;
        let smallest = self.sizes.len() - 1;
        let best = self.sizes.iter().position(fits).unwrap_or(smallest);
        best.max(self.top)
    }

    /// The mean cost of the last `count` frames or fewer, without the dearest of
    /// each eight: they have met with an accident.
    fn typical(&self, count: usize) -> Option<Cost> {
        let size = self.size();
        let mut costs = Vec::from_iter(self.costs.iter().rev().take(count).copied());
        costs.sort_by(|a, b| a.at(size).total_cmp(&b.at(size)));
        costs.truncate(costs.len() - costs.len() / FEW);
        let count = costs.len() as f64;
        let mean = |part: fn(&Cost) -> f64| costs.iter().map(part).sum::<f64>() / count;
        (count > 0.0).then(|| Cost {
            fixed: mean(|cost| cost.fixed),
            per_pixel: mean(|cost| cost.per_pixel),
        })
    }
}

/// The network's size if there is time enough.
fn wanted(frame: Size, policy: SizePolicy) -> Size {
    let rows = frame.1.max(1) as f64;
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
    let shorter = top.0.min(top.1) as f64;
    (1..)
        .map(|step| STEP.powi(step))
        .take_while(move |factor| factor * shorter >= LEAST_SIDE)
        .map(move |factor| scaled(top, factor))
}

/// A part of `frame`: its sides to the nearest multiple of 4, as the network
/// works on, if that is not beyond them.
fn scaled((width, height): Size, factor: f64) -> Size {
    if factor >= 1.0 {
        return (width, height);
    }
    let side = |side: usize| {
        let part = (side as f64 * factor / 4.0).round().max(1.0) as usize * 4;
        part.min(side)
    };
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VGA: Size = (640, 480);
    const BUDGET: Duration = Duration::from_millis(33);
    const AUTO: SizePolicy = SizePolicy {
        scale: 0.0,
        max_height: 0,
        stroke_scale: 0.0,
    };

    fn millis(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// A machine on which VGA takes the network `vga` milliseconds.
    fn spent((width, height): Size, vga: f64) -> Spent {
        let network = vga * (width * height) as f64 / (640.0 * 480.0);
        Spent {
            convert: millis(2.0),
            network: millis(network),
            upsample: millis(1.0),
        }
    }

    fn total(spent: Spent) -> Duration {
        spent.convert + spent.network + spent.upsample
    }

    /// Runs some frames; how long the longest took after the first.
    fn run(pace: &mut Pace, frames: usize, vga: impl Fn(usize) -> f64) -> Duration {
        let frame = |i| {
            let spent = spent(pace.size(), vga(i));
            pace.observe(spent);
            total(spent)
        };
        (0..frames).map(frame).max().unwrap_or_default()
    }

    #[test]
    fn without_haste_it_is_the_frames_own_size() {
        let mut pace = Pace::new((641, 479), AUTO, None);
        assert_eq!(pace.size(), (641, 479));
        run(&mut pace, 100, |_| 1000.0);
        assert_eq!(pace.size(), (641, 479));
    }

    #[test]
    fn policyes_are_heard() {
        let size = |frame, scale, max_height, stroke_scale| {
            let policy = SizePolicy {
                scale,
                max_height,
                stroke_scale,
            };
            Pace::new(frame, policy, None).size()
        };
        assert_eq!(size(VGA, 0.5, 0, 0.0), (320, 240));
        assert_eq!(size(VGA, 1.0, 0, 0.0), VGA);
        assert_eq!(size((1920, 1080), 0.0, 360, 0.0), (640, 360));
        assert_eq!(size((1920, 1080), 0.5, 360, 0.0), (320, 180));
        assert_eq!(size(VGA, 0.0, 1080, 0.0), VGA);
        // The same strokes on any frame.
        assert_eq!(size((1920, 1080), 0.0, 0, 1.0), (852, 480));
        assert_eq!(size((3840, 2160), 0.0, 0, 2.0), (428, 240));
        assert_eq!(size(VGA, 0.0, 0, 0.5), VGA);
        // However small.
        assert_eq!(size((1, 1), 0.01, 1, 100.0), (1, 1));
        assert_eq!(size((3, 5), 0.5, 0, 0.0), (3, 4));
    }

    #[test]
    fn a_fixed_size_stays_however_long_it_takes() {
        let policy = SizePolicy { scale: 0.5, ..AUTO };
        let mut pace = Pace::new(VGA, policy, Some(BUDGET));
        run(&mut pace, 100, |_| 1000.0);
        assert_eq!(pace.size(), (320, 240));
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
            let used = total(spent(pace.size(), vga)).as_secs_f64() / BUDGET.as_secs_f64();
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
    fn one_slow_frame_changes_nothing_and_some_do() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        run(&mut pace, 1, |_| 300.0);
        assert_eq!(pace.size(), size);
        run(&mut pace, 50, |_| 72.0);
        assert_eq!(pace.size(), size);
        // The first of them may be an accident, too.
        run(&mut pace, 4, |_| 144.0);
        assert!(pace.size().0 < size.0);
        assert!(total(spent(pace.size(), 144.0)) < BUDGET);
    }

    #[test]
    fn when_the_load_goes_the_size_comes_back_step_by_step() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let before = pace.size();
        run(&mut pace, 100, |_| 200.0);
        let mut last = pace.size();
        assert!(last.0 < before.0);
        for _ in 0..4000 {
            run(&mut pace, 1, |_| 72.0);
            let size = pace.size();
            assert!(
                size.0 as f64 <= last.0 as f64 / STEP + 4.0,
                "{last:?}, {size:?}"
            );
            assert!(size.0 >= last.0);
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
            let cost = if pace.size().0 > size.0 { 110.0 } else { 60.0 };
            run(&mut pace, 1, |_| cost);
            changes += usize::from(pace.size() != last);
            last = pace.size();
        }
        // In five minutes; a change each second would be 300.
        assert!((1..50).contains(&changes), "{changes}");
    }

    /// As when a sink turns out to keep time.
    #[test]
    fn haste_begins_where_the_frames_before_say() {
        let mut calm = Pace::new(VGA, AUTO, None);
        run(&mut calm, 5, |_| 72.0);
        let mut pace = Pace::after(calm, VGA, AUTO, Some(BUDGET));
        let size = pace.size();
        assert!((300..450).contains(&size.0), "{size:?}");
        run(&mut pace, 300, |_| 72.0);
        assert_eq!(pace.size(), size);
        let mut none = Pace::new(VGA, AUTO, None);
        run(&mut none, 1, |_| 72.0);
        assert!(Pace::after(none, VGA, AUTO, Some(BUDGET)).size().0 < 120);
    }

    #[test]
    fn frames_need_not_be_equally_long() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        pace.set_budget(BUDGET + Duration::from_micros(700));
        assert_eq!(pace.size(), size);
        pace.set_budget(BUDGET / 2);
        run(&mut pace, 20, |_| 72.0);
        assert!(pace.size().0 < size.0);
    }

    #[test]
    fn a_heavier_model_gets_a_smaller_size_at_once() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 40.0);
        pace.model_changed(3.0);
        assert!(total(spent(pace.size(), 120.0)) < BUDGET);
        let heavy = pace.size();
        run(&mut pace, 100, |_| 120.0);
        pace.model_changed(1.0 / 3.0);
        assert!(pace.size().0 > heavy.0);
    }

    #[test]
    fn others_get_their_part_of_the_time() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        run(&mut pace, 100, |_| 72.0);
        let size = pace.size();
        for _ in 0..4 {
            run(&mut pace, 60, |_| 72.0);
            pace.frame_was_late();
        }
        run(&mut pace, FEW, |_| 72.0);
        let small = pace.size();
        assert!(small.0 < size.0);
        run(&mut pace, 3000, |_| 72.0);
        assert!(pace.size().0 > small.0);
    }

    #[test]
    fn what_is_not_possible_is_not_taken() {
        let mut pace = Pace::new(VGA, AUTO, Some(BUDGET));
        pace.limit(|(width, _)| width <= 320);
        run(&mut pace, 1000, |_| 1.0);
        assert!((280..=320).contains(&pace.size().0));
        pace.limit(|_| false);
        run(&mut pace, 1000, |_| 1.0);
        assert!(pace.size().0 < 120);
        pace.limit(|_| true);
        run(&mut pace, 1000, |_| 1.0);
        assert_eq!(pace.size(), VGA);
    }
}
