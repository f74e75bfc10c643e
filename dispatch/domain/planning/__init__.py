"""The planner: which driver is offered which trip, when and why. Pure, standard library only.

README.md says how it works and where it comes from. `plan(state, now_s, seed, settings)` is one step.

Map:
values.py      orders, drivers, trips, proposals, the result
settings.py    weights and limits
travel.py      metrics of travel time, and a plane for degrees
planner.py     one step
legs.py        travel times of one step, each computed once
trips.py       trips, with all that does not depend on the driver added up
routes.py      a driver's trips in sequence, and the cheapest place for one more order
route_set.py   all routes, with an undo
candidates.py  drivers worth considering for an order
position.py    what a place is worth for orders to come
insertion.py   regret insertion
search.py      large-neighbourhood search
proposals.py   trips whose time has come, with their reasons
reassignment.py orders under way that had better have another driver
fairness.py    idle time, income per hour and their spread, and what makes up for it
explain.py     the reasons in sentences
sites.py       stores that are one site
recent.py      recent orders of stores
pooling.py     what partners to come are worth, and whether waiting for them pays
pooled_plan.py one step of a zone that pools
hindsight.py   what trips could have saved
fleet.py       drivers in the sequence in which they can be at a place
draws.py       pseudo-random numbers from a seed
"""

from dispatch.domain.planning.explain import explain
from dispatch.domain.planning.planner import plan
from dispatch.domain.planning.pooled_plan import plan_pooled
from dispatch.domain.planning.pooling import PoolSettings
from dispatch.domain.planning.recent import RecentDoors
from dispatch.domain.planning.settings import PlanSettings
from dispatch.domain.planning.sites import sites_of
from dispatch.domain.planning.travel import Plane, Travel, straight_travel, whole_minutes_travel
from dispatch.domain.planning.values import (
    AssignedOrder,
    CandidateDriver,
    CostTerms,
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanResult,
    PlanState,
    PlanStop,
    PlanTrip,
    Reassignment,
    RecentDoor,
    SiteDemand,
    Spot,
    TripProposal,
)

__all__ = [
    "AssignedOrder",
    "CandidateDriver",
    "CostTerms",
    "DemandPoint",
    "PlanDriver",
    "PlanOrder",
    "PlanResult",
    "PlanSettings",
    "PlanState",
    "PlanStop",
    "PlanTrip",
    "Plane",
    "PlannedRoute",
    "PoolSettings",
    "Reassignment",
    "RecentDoor",
    "RecentDoors",
    "SiteDemand",
    "Spot",
    "Travel",
    "TripProposal",
    "explain",
    "plan",
    "plan_pooled",
    "sites_of",
    "straight_travel",
    "whole_minutes_travel",
]
