//go:build tools

// Package etcd pins what scripts/kube.sh builds.
package etcd

import _ "go.etcd.io/etcd/server/v3"
