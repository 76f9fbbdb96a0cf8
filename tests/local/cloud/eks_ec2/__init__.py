"""EKS clusters and EC2 networks: corrections."""
