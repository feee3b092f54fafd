//go:build tools

// Package ratelimit pins what scripts/ratelimit.sh builds.
package ratelimit

import _ "github.com/envoyproxy/ratelimit/src/service_cmd"
