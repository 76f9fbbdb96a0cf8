"""A location (accounts and Region) to create scrapers in."""

import itertools
import uuid

from conftest import SOURCE, TARGET

YAML = b"global: {external_labels: {clusterArn: c1}}\nscrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]\n"
# The quota of scrapers is per Region. The cloud accepts Regions that AWS does not have.
ANY_REGION = (f"us-test-{number}" for number in itertools.count(1))


class Location:
    """A source and a target account in a Region that no other test uses, with a cluster and a workspace."""

    def __init__(self, cloud, region=None, mode="API", tags=None, private=True):
        self.cloud, self.region = cloud, region or next(ANY_REGION)
        self.eks, self.ec2 = self.client("eks"), self.client("ec2")
        self.amp, self.target_amp = self.client("amp"), self.client("amp", TARGET)
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnets = [
            s["SubnetId"] for s in sorted(subnets, key=lambda s: s["AvailabilityZone"]) if s["DefaultForAz"]
        ]
        self.vpc = subnets[0]["VpcId"]
        self.cluster = self.make_cluster(mode=mode, tags=tags, private=private)
        self.workspace = self.target_amp.create_workspace(alias="w")["arn"]

    def client(self, service, account=SOURCE, session=None):
        return self.cloud.client(service, account, self.region, session)

    def make_cluster(self, mode="API", tags=None, private=True):
        made = self.eks.create_cluster(
            name=f"c-{uuid.uuid4().hex[:8]}",
            roleArn=f"arn:aws:iam::{SOURCE}:role/eks",
            accessConfig={"authenticationMode": mode},
            resourcesVpcConfig={"subnetIds": self.subnets, "endpointPrivateAccess": private},
            tags=tags or {},
        )["cluster"]
        return made["arn"]

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
