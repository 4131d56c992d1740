//! The loss of a funnel over all impressions.
//!
//! Head `j` gives the log odds of step `j` among those that took the steps before it; the probability of a task is the product of the
//! steps up to it (Ma et al., "Entire space multi-task model", SIGIR 2018, with a cart between click and purchase). Each task is judged
//! by its binary cross-entropy over *all* impressions: a step that is only seen after a click is then learned for what is served, which
//! is every item, and not for the few that were clicked.

/// Probability of each task from the log odds of the steps: what a program computes.
#[cfg(test)]
pub(super) fn probabilities(log_odds: &[f32], out: &mut Vec<f64>) {
    let mut log = 0.0;
    out.clear();
    out.extend(log_odds.iter().map(|z| {
        log += log_sigmoid(f64::from(*z));
        log.exp()
    }));
}

/// Mean weighted loss of rows, and its gradient by the log odds. `labels` are 1 where a row reached a task.
pub(super) fn funnel_loss(log_odds: &[f32], labels: &[bool], weights: &[f32]) -> (f32, Vec<f32>) {
    let tasks = weights.len();
    let scale = 1.0 / (log_odds.len() / tasks).max(1) as f64;
    let (mut loss, mut gradient) = (0.0, vec![0.0; log_odds.len()]);
    for ((z, labels), gradient) in
        log_odds.chunks_exact(tasks).zip(labels.chunks_exact(tasks)).zip(gradient.chunks_exact_mut(tasks))
    {
        let mut log = 0.0;
        for task in 0..tasks {
            log += log_sigmoid(f64::from(z[task]));
            // 1 - p, without the loss of digits where p is near 1.
            let rest = -log.exp_m1();
            let weight = scale * f64::from(weights[task]);
            loss -= weight * if labels[task] { log } else { rest.ln() };
            let by_log = if labels[task] { -1.0 } else { log.exp() / rest };
            for step in 0..=task {
                // The slope of log sigmoid is the probability not to take the step.
                gradient[step] += (weight * by_log * log_sigmoid(-f64::from(z[step])).exp()) as f32;
            }
        }
    }
    (loss as f32, gradient)
}

fn log_sigmoid(z: f64) -> f64 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: [f32; 3] = [1.0, 0.5, 2.0];

    #[test]
    fn agrees_with_a_case_computed_by_hand() {
        // Steps of probability 1/2, 3/4 and 1/4: the tasks have 1/2, 3/8 and 3/32.
        let z = [0.0, 3.0_f32.ln(), -(3.0_f32.ln())];
        let mut found = Vec::new();
        probabilities(&z, &mut found);
        let expected = [0.5, 0.375, 0.09375];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        let (loss, _) = funnel_loss(&z, &[true, true, false], &WEIGHTS);
        let by_hand = -(0.5_f64.ln()) - 0.5 * 0.375_f64.ln() - 2.0 * (1.0_f64 - 0.09375).ln();
        assert!((f64::from(loss) - by_hand).abs() < 1e-6, "{loss} {by_hand}");
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let z = [0.3, -1.2, 0.8, 2.0, 1.0, -0.5, -3.0, 0.1, 0.2];
        let labels = [true, false, false, true, true, true, false, false, false];
        let (_, gradient) = funnel_loss(&z, &labels, &WEIGHTS);
        for at in 0..z.len() {
            let moved = |by: f32| {
                let mut z = z;
                z[at] += by;
                f64::from(funnel_loss(&z, &labels, &WEIGHTS).0)
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[at])).abs() < 1e-3, "{at}: {slope} {}", gradient[at]);
        }
    }

    #[test]
    fn certainty_gives_finite_numbers() {
        for z in [-80.0, 80.0] {
            for label in [false, true] {
                let (loss, gradient) = funnel_loss(&[z; 3], &[label; 3], &WEIGHTS);
                assert!(
                    loss.is_finite() && gradient.iter().all(|slope| slope.is_finite()),
                    "{z} {label}: {gradient:?}"
                );
            }
        }
    }
}
