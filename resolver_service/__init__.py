"""The resolver: owns providers, pools, clusters, rotation and health, and answers names with plans."""
