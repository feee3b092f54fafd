//go:build tools

// Package contour pins what scripts/contour.sh builds.
package contour

import _ "github.com/projectcontour/contour/cmd/contour"
