//! The policy documents equal the golden files.
//!
//! `UPDATE_GOLDEN=1 cargo test --workspace --test steps` rewrites the files.

use ampxa::{
    pair::Pair,
    policy::{self, Gate},
};
use serde_json::Value;
use std::{env, fs, path::Path};

#[test]
fn the_policy_documents_equal_the_golden_files() {
    for (partition, region) in [("aws", "us-west-2"), ("aws-us-gov", "us-gov-west-1")] {
        let arn =
            |service: &str, account: &str, rest: &str| format!("arn:{partition}:{service}:{region}:{account}:{rest}");
        let pair = Pair {
            cluster: arn("eks", "222222222222", "cluster/demo").parse().unwrap(),
            workspace: arn("aps", "333333333333", "workspace/ws-1").parse().unwrap(),
        };
        let scraper = arn("aps", "222222222222", "scraper/s-1").parse().unwrap();
        for (name, document) in [
            (
                "source-trust-placeholder",
                policy::source_trust(&pair, Gate::Placeholder),
            ),
            (
                "source-trust-scraper",
                policy::source_trust(&pair, Gate::Scraper(&scraper)),
            ),
            ("source-permissions", policy::source_permissions(&pair)),
            (
                "target-trust-placeholder",
                policy::target_trust(&pair, Gate::Placeholder),
            ),
            (
                "target-trust-scraper",
                policy::target_trust(&pair, Gate::Scraper(&scraper)),
            ),
            ("target-permissions", policy::target_permissions(&pair)),
        ] {
            let path = format!("../golden/policies/{partition}-{name}.json");
            if env::var_os("UPDATE_GOLDEN").is_some() {
                fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
                fs::write(&path, format!("{document:#}\n")).unwrap();
            }
            let golden: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(document, golden, "{path}");
            assert!(
                document.to_string().len() <= 2048,
                "the default quota for a trust policy is 2,048 characters"
            );
        }
    }
}
