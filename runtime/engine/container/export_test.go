package container

// For tests.
var (
	Merge       = merge
	Environment = environment
	Command     = command
	ParseSignal = parseSignal
	ParseBind   = parseBind
	ParseSet    = parseSet
	ParsePS     = parsePS
	ParseStat   = parseStat
	Moment      = moment
	NewMount    = newMountPoint
	Tmpfs       = tmpfs
	Bind        = bind
	NewID       = newID
	CheckConfig = checkConfig
	LookupUser  = lookupUser
)

// Words is a state as `docker ps` shows it.
var Words = (*state).words

// State and Mount are what is kept of a container.
type (
	State = state
	Mount = mountPoint
)
