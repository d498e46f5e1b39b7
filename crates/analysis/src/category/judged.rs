//! Categories of many samples: forked processes have thousands of stacks in common.

use std::sync::Arc;

use contract::Domain;
use foldhash::{HashMap, HashMapExt};
use profile::{LocationId, Profile, Sample};

use super::{Category, LABEL, of_frames, of_sample_by};

/// What stacks are for, each judged once: for one profile after another.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Whose stacks these are: [`Profile::kin`].
    kin: Option<u64>,
    stacks: HashMap<Domain, HashMap<Box<[LocationId]>, &'static Category>>,
}

impl Judged {
    /// The categories of a profile's samples, as [`of_sample`](super::of_sample) has them.
    pub fn of_samples(&mut self, profile: &Profile) -> Vec<&'static Category> {
        if self.kin != profile.kin() || profile.kin().is_none() {
            *self = Judged { kin: profile.kin(), ..Judged::default() };
        }
        profile.samples().iter().map(|sample| self.of_sample(profile, sample)).collect()
    }

    /// Sets the label [`LABEL`] on every sample.
    pub fn label(&mut self, profile: &mut Profile) {
        let categories = self.of_samples(profile);
        let mut words: HashMap<&str, Arc<str>> = HashMap::new();
        for (sample, category) in profile.samples_mut().iter_mut().zip(categories) {
            let word = words.entry(category.name).or_insert_with(|| category.name.into());
            sample.set_label(LABEL, Arc::clone(word));
        }
    }

    fn of_sample(&mut self, profile: &Profile, sample: &Sample) -> &'static Category {
        of_sample_by(profile, sample, |domain| {
            let stacks = self.stacks.entry(domain).or_default();
            if let Some(known) = stacks.get(sample.stack.as_slice()) {
                return known;
            }
            let category = of_frames(profile, sample, domain);
            stacks.insert(sample.stack.clone().into(), category);
            category
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::category::of_sample;
    use crate::sample_profile::{echo_server, push, stack};

    #[test]
    fn samples_are_judged_as_each_by_itself_in_one_profile_after_another() {
        let mut judged = Judged::default();
        let mut other = Profile::of_heap();
        // The same handles as in the first, of other stacks; one stack in two domains.
        for domain in ["openssl", "rust"] {
            push(&mut other, domain, &stack(&[("SSL_CTX_new_ex", "ssl/ssl_lib.c")]), 1, 1);
            push(&mut other, domain, &stack(&[("X509_STORE_new", "crypto/x509/x509_lu.c")]), 1, 1);
        }
        for profile in [echo_server(), other, echo_server()] {
            let of = |sample| of_sample(&profile, sample).name;
            let each: Vec<_> = profile.samples().iter().map(of).collect();
            let all = judged.of_samples(&profile);
            assert_eq!(all.iter().map(|category| category.name).collect::<Vec<_>>(), each);
        }
    }
}
