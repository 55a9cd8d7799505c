//! Which machines can a site not take, and which workloads would have run there? An unknown power or height is not zero:
//! no limit can be kept with it.

use crate::columns::is_allowed;
use crate::market::Market;
use capstan_types::blueprint::RejectionCount;
use capstan_types::hardware::NodeShape;
use capstan_types::spec::{Site, Spec};

/// A rack gives a machine too little power.
const RACK_TOO_WEAK: &str = "rack_too_weak";

/// A machine that a site cannot take.
#[derive(Debug, Clone)]
pub struct Refused<'a> {
    /// Index of the site in the spec.
    pub site_index: usize,
    /// The machine.
    pub shape: &'a NodeShape,
    /// Why.
    pub why: Refusal,
    /// Whether one stands there already, or has a price in some way in which a workload may buy it.
    pub is_to_be_had: bool,
}

/// Why a site cannot take a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Name of the reason, such as `rack_too_low`.
    pub reason: &'static str,
    /// The same in words.
    pub words: String,
    /// By which factor the machine exceeds what the site takes; absent where the reason is no matter of degree.
    pub excess: Option<f64>,
}

/// Returns why a site cannot take a machine, if it cannot.
pub(crate) fn refusal(site: &Site, shape: &NodeShape) -> Option<Refusal> {
    let why = |reason, words, excess| Some(Refusal { reason, words, excess });
    if site.refuses_heat_of(shape) {
        let words = format!("it needs liquid to carry its heat away, and {} is cooled by air", site.name);
        return why("needs_liquid", words, None);
    }
    if site.power.is_some() && shape.power.is_none() {
        let words = format!("its power is unknown, and {} has a limit on power", site.name);
        return why("power_unknown", words, None);
    }
    let rack = site.rack.as_ref()?;
    let (Some(height), Some(power)) = (shape.height_u, shape.power) else {
        let needed = site.racks.is_some() || rack.power.is_some();
        let words = format!("its height or power is unknown, and {} states what a rack takes", site.name);
        return needed.then_some(Refusal { reason: "rack_unknown", words, excess: None });
    };
    if height > rack.height_u {
        let words = format!("it is {height} U high, a rack of {} holds {} U", site.name, rack.height_u);
        return why("rack_too_low", words, Some(height / rack.height_u));
    }
    let limit = rack.power.as_ref().filter(|limit| power.get() > limit.value.get())?;
    let words =
        format!("it draws {:.1} kW, a rack of {} gives {:.1} kW", power.kw(), site.name, limit.value.kw());
    why(RACK_TOO_WEAK, words, Some(power.get() / limit.value.get()))
}

/// What a workload asks of places and machines.
struct Wish<'a> {
    name: &'a str,
    sites: Option<&'a Vec<String>>,
    accelerators: Option<&'a Vec<String>>,
    is_accelerated: bool,
}

/// Returns the wish of every workload: services, trainings, applications, offline inference.
fn wishes(spec: &Spec) -> impl Iterator<Item = Wish<'_>> {
    let wish = |name, sites, accelerators, is_accelerated| Wish { name, sites, accelerators, is_accelerated };
    let serves = spec.serves.iter();
    let serves =
        serves.map(move |of| wish(of.name.as_str(), of.sites.as_ref(), of.accelerators.as_ref(), true));
    let trains = spec.trains.iter();
    let trains =
        trains.map(move |of| wish(of.name.as_str(), of.sites.as_ref(), of.accelerators.as_ref(), true));
    let apps = spec.apps.iter().map(move |of| {
        wish(of.name.as_str(), of.sites.as_ref(), of.accelerators.as_ref(), of.part.is_some())
    });
    let batches = spec.batches.iter();
    let batches =
        batches.map(move |of| wish(of.name.as_str(), of.sites.as_ref(), of.accelerators.as_ref(), true));
    serves.chain(trains).chain(apps).chain(batches)
}

impl Wish<'_> {
    /// Returns whether the workload would run on a machine, if its site took it.
    fn allows(&self, spec: &Spec, refused: &Refused<'_>) -> bool {
        let shape = refused.shape;
        let is_named = |names: &&Vec<String>| shape.accelerator.as_ref().is_some_and(|id| names.contains(id));
        self.is_accelerated == (shape.accelerators > 0)
            && self.accelerators.as_ref().is_none_or(is_named)
            && is_allowed(self.sites, &spec.sites[refused.site_index])
    }
}

/// Returns the machines that a workload, services first, would run on if their sites took them.
pub(crate) fn of_workload<'m>(spec: &Spec, market: &'m Market<'_>, workload: usize) -> Vec<&'m Refused<'m>> {
    let wish = wishes(spec).nth(workload);
    let all = market.refused.iter();
    wish.map(|wish| all.filter(|refused| wish.allows(spec, refused)).collect()).unwrap_or_default()
}

/// Returns, of the machines to be had that a workload would run on if racks gave them more power, the one that asks least.
pub(crate) fn least_beyond_its_rack<'m>(
    spec: &Spec,
    market: &'m Market<'_>,
    workload: usize,
) -> Option<&'m Refused<'m>> {
    let all = of_workload(spec, market, workload).into_iter();
    let weak = all.filter(|refused| refused.is_to_be_had && refused.why.reason == RACK_TOO_WEAK);
    let excess = |refused: &Refused<'_>| refused.why.excess.unwrap_or(f64::INFINITY);
    weak.min_by(|a, b| excess(a).total_cmp(&excess(b)))
}

/// Returns a rejection for each machine that a site cannot take, by workload that would run on it.
pub(crate) fn rejections(spec: &Spec, market: &Market<'_>) -> Vec<RejectionCount> {
    let of = |wish: &Wish<'_>, refused: &Refused<'_>| RejectionCount {
        workload: wish.name.to_owned(),
        shape: refused.shape.id.clone(),
        reason: refused.why.reason.to_owned(),
        count: 1,
        nearest: refused.why.words.clone(),
        excess: refused.why.excess,
    };
    let mut rows = Vec::new();
    for wish in wishes(spec) {
        let mine = market.refused.iter().filter(|refused| wish.allows(spec, refused));
        rows.extend(mine.map(|refused| of(&wish, refused)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::spec::{Limit, Rack};
    use capstan_types::testing::blueprint::{chat_blueprint, notebooks};
    use capstan_types::units::Watts;

    #[test]
    fn only_machines_that_a_workload_allows_are_refused_to_it_and_the_nearest_is_named() {
        let mut blueprint = chat_blueprint();
        let spec = &mut blueprint.inputs.spec;
        let place = spec.serves[0].place.clone();
        let own = spec.sites.iter().position(Site::is_own).expect("an own site");
        let strongest = Limit { value: Watts(5_000.0), place };
        spec.sites[own].rack = Some(Rack { power: Some(strongest), height_u: 42.0 });
        spec.apps = vec![notebooks()];
        let mut shapes = vec![blueprint.inputs.catalog.shape("own.h100_sxm_8").expect("there").clone(); 3];
        shapes[0].accelerator = Some("b200".to_owned());
        for (shape, kilowatts) in shapes.iter_mut().zip([5.5, 9.0, 6.0]) {
            shape.id = format!("own.{kilowatts}");
            (shape.power, shape.height_u) = (Some(Watts(kilowatts * 1e3)), Some(8.0));
        }
        let spec = &mut blueprint.inputs.spec;
        spec.apps[0].accelerators = shapes[1].accelerator.clone().map(|id| vec![id]);
        let refused = shapes.iter().map(|shape| Refused {
            site_index: own,
            shape,
            why: refusal(&spec.sites[own], shape).expect("refused"),
            is_to_be_had: true,
        });
        let market = Market { refused: refused.collect(), ..Market::default() };
        let notebooks = spec.serves.len() + spec.trains.len();
        let nearest = least_beyond_its_rack(spec, &market, notebooks).expect("one is to be had");
        assert_eq!(nearest.shape.id, "own.6");
        let rows = rejections(spec, &market);
        let of_notebooks: Vec<_> = rows.iter().filter(|row| row.workload == "notebooks").collect();
        assert_eq!(of_notebooks.len(), 2, "{rows:?}");
        assert_eq!(of_notebooks[1].excess, Some(1.2));
        assert!(of_notebooks[1].nearest.contains("6.0 kW, a rack of hz1 gives 5.0 kW"));
    }
}
