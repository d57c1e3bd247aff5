# SPDX-License-Identifier: GPL-3.0-or-later
# The house rules of the build: one warning set, one library per folder, explicit links.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

option(PERRIN_NATIVE "Use every instruction of the machine that builds" ON)
option(PERRIN_WERROR "Warnings are errors" OFF)
set(PERRIN_SANITIZE "" CACHE STRING "Sanitizers, as given to -fsanitize=")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)

add_library(pn_flags INTERFACE)
target_compile_options(pn_flags INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
	-Wno-missing-field-initializers -Wno-sign-compare
	-fno-math-errno -fno-trapping-math -ffp-contract=off)
target_compile_definitions(pn_flags INTERFACE _GNU_SOURCE PERRIN_VERSION="${PROJECT_VERSION}")
target_include_directories(pn_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
if(PERRIN_NATIVE)
	target_compile_options(pn_flags INTERFACE -march=native)
endif()
if(PERRIN_WERROR)
	target_compile_options(pn_flags INTERFACE -Werror)
endif()
if(PERRIN_SANITIZE)
	target_compile_options(pn_flags INTERFACE -fsanitize=${PERRIN_SANITIZE} -fno-sanitize-recover=undefined)
	target_link_options(pn_flags INTERFACE -fsanitize=${PERRIN_SANITIZE})
endif()

# pn_package(<target> <pkg-config module>): a Debian package as a link target.
function(pn_package target module)
	pkg_check_modules(${target} REQUIRED IMPORTED_TARGET ${module})
	add_library(${target} INTERFACE)
	target_link_libraries(${target} INTERFACE PkgConfig::${target})
endfunction()

# pn_library(<area> LINKS <targets...>): the library pn_<area> of all C files in this folder.
# What is not in LINKS cannot be linked; that is how the dependency rule of the house is kept.
function(pn_library area)
	cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
	if(NOT sources)
		add_library(pn_${area} INTERFACE)
		return()
	endif()
	add_library(pn_${area} STATIC ${sources})
	target_link_libraries(pn_${area} PRIVATE pn_flags PUBLIC ${ARG_LINKS})
	target_include_directories(pn_${area} PUBLIC ${CMAKE_SOURCE_DIR}/include)
endfunction()

# pn_tests(<area> LINKS <targets...>): every test_*.c of this folder is one program and one test.
function(pn_tests area)
	cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
	foreach(source ${sources})
		get_filename_component(stem ${source} NAME_WE)
		set(name ${area}_${stem})
		add_executable(${name} ${source})
		target_link_libraries(${name} PRIVATE pn_flags pn_testkit ${ARG_LINKS})
		add_test(NAME ${area}/${stem} COMMAND ${name})
		set_tests_properties(${area}/${stem} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
			ENVIRONMENT "PERRIN_DATA=${CMAKE_SOURCE_DIR}/../shared/data;PERRIN_SOURCE=${CMAKE_SOURCE_DIR};GOMP_SPINCOUNT=1000")
	endforeach()
endfunction()

# pn_stages(<names...> LINKS <targets...>): the library pn_stages and its table. Stops if a file of this
# folder is not in the list, or a listed stage has no test.
function(pn_stages)
	cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
	set(PN_STAGE_EXTERNS "")
	set(PN_STAGE_ROWS "")
	set(sources "")
	foreach(stage ${ARG_UNPARSED_ARGUMENTS})
		if(NOT EXISTS ${CMAKE_SOURCE_DIR}/tests/stages/test_${stage}.c)
			message(FATAL_ERROR "stage ${stage} has no tests/stages/test_${stage}.c")
		endif()
		list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/${stage}.c)
		string(APPEND PN_STAGE_EXTERNS "extern const struct pn_stage_ops pn_stage_${stage};\n")
		string(APPEND PN_STAGE_ROWS "\t&pn_stage_${stage},\n")
	endforeach()
	file(GLOB present CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
	foreach(file ${present})
		if(NOT file IN_LIST sources)
			message(FATAL_ERROR "${file} is not in the list of pipeline/stages/CMakeLists.txt")
		endif()
	endforeach()
	configure_file(table.c.in ${CMAKE_CURRENT_BINARY_DIR}/table.c @ONLY)
	add_library(pn_stages STATIC ${sources} ${CMAKE_CURRENT_BINARY_DIR}/table.c)
	target_link_libraries(pn_stages PRIVATE pn_flags PUBLIC ${ARG_LINKS})
endfunction()
