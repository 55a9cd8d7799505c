# Read by the build of the solver HiGHS, see config.toml beside it: many of its files are compiled as one, which takes half
# the time.
set(CMAKE_UNITY_BUILD ON)
