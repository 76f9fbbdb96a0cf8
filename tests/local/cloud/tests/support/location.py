"""A location (accounts and Region) for scrapers."""

import itertools
import uuid

from conftest import SOURCE, TARGET

YAML = (
    b"global: {external_labels: {clusterArn: c1}}\n"
    b"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]\n"
)
# The scraper quota is per Region. The cloud also accepts Region names that do not exist in AWS.
UNUSED_REGIONS = (f"us-test-{number}" for number in itertools.count(1))


class Location:
    """A source and a target account in a Region that no other test uses, with a cluster and a workspace."""

    def __init__(self, cloud, region=None, mode="API", tags=None, private=True):
        self.cloud, self.region = cloud, region or next(UNUSED_REGIONS)
        self.eks, self.ec2 = self.client("eks"), self.client("ec2")
        self.amp, self.target_amp = self.client("amp"), self.client("amp", TARGET)
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnets = [
            s["SubnetId"] for s in sorted(subnets, key=lambda s: s["AvailabilityZone"]) if s["DefaultForAz"]
        ]
        self.vpc = subnets[0]["VpcId"]
        self.cluster = self.create_cluster(mode=mode, tags=tags, private=private)
        self.workspace = self.target_amp.create_workspace(alias="w")["arn"]

    def client(self, service, account=SOURCE, session=None):
        return self.cloud.client(service, account, self.region, session)

    def create_cluster(self, mode="API", tags=None, private=True):
        cluster = self.eks.create_cluster(
            name=f"c-{uuid.uuid4().hex[:8]}",
            roleArn=f"arn:aws:iam::{SOURCE}:role/eks",
            accessConfig={"authenticationMode": mode},
            resourcesVpcConfig={"subnetIds": self.subnets, "endpointPrivateAccess": private},
            tags=tags or {},
        )["cluster"]
        return cluster["arn"]

    def roles(self):
        return {
            "sourceRoleArn": f"arn:aws:iam::{SOURCE}:role/a-source",
            "targetRoleArn": f"arn:aws:iam::{TARGET}:role/a-target",
        }

    def request(self, **more):
        eks = {"clusterArn": self.cluster, "subnetIds": self.subnets[:2]}
        return {
            "scrapeConfiguration": {"configurationBlob": YAML},
            "source": {"eksConfiguration": eks},
            "destination": {"ampConfiguration": {"workspaceArn": self.workspace}},
            "roleConfiguration": self.roles(),
            **more,
        }

    def with_source(self, **more):
        request = self.request()
        request["source"]["eksConfiguration"].update(more)
        return request

    def status(self, scraper):
        return self.amp.describe_scraper(scraperId=scraper["scraperId"])["scraper"]["status"]["statusCode"]
